"""The result of ``undrift curve``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from undrift.metrics.results import FeatureSpace, Measurements, ReferenceFacts
from undrift.results.result import Result
from undrift.schema import stored_as

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Point:
    """A sampler and its cost.

    Attributes:
        sampler: its name.
        nfe: network forwards per image.
        steps: of the sampler.
    """

    sampler: str
    nfe: int
    steps: int

    @property
    def name(self) -> str:
        """As files and lines call it."""
        return f"{self.sampler}-{self.nfe}"


@dataclass(frozen=True)
class SkippedPoint:
    """A sampler that has no number of steps of that cost.

    Attributes:
        sampler: its name.
        nfe: network forwards per image.
        reason: why.
    """

    sampler: str
    nfe: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint(Measurements, Point):
    """The metrics of a point.

    Attributes:
        seconds: of sampling, per image.
    """

    seconds: float


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower end; None where there is none.
        high: upper end.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PointMetric(Interval):
    """A metric of a point.

    Attributes:
        name: of the metric, with its feature space.
    """

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Point):
    """A point of a curve.

    Attributes:
        seconds: of sampling, per image.
        metrics: by name.
    """

    seconds: float
    metrics: Mapping[str, PointMetric]


@dataclass(frozen=True, kw_only=True)
class RankedPoint(Point):
    """A point and its value in one metric.

    Attributes:
        value: of the metric.
        low: lower end of its 95 % interval; None where there is none.
        high: upper end.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class BestPoint(RankedPoint):
    """The best point of at most a number of evaluations.

    Attributes:
        budget: that number.
        runner_up: the best point of another sampler.
        overlaps: whether the intervals of both overlap, so that their order may be chance; None
            where an interval is missing.
        difference: best less runner-up, image by image; None where it cannot be measured.
    """

    budget: int
    runner_up: RankedPoint | None = None
    overlaps: bool | None = None
    difference: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class CurveFacts(Result):
    """What all points of a curve have in common.

    Attributes:
        n: samples of each point.
        seed: of the initial noise, the same for all points, and of every random choice.
        grid: how the noise levels are spaced.
        metrics: their names.
        missing: name of a metric that could not be computed -> why.
        titles: metric -> its name with the feature space.
        better: metric -> which way is better.
        floors: metric -> what as many real images score, or None.
        floors_missing: why some have none, a line each.
        features: feature space.
        reference: reference images.
        protocol: what all points have in common, as a sentence.
        threads: CPU threads.
    """

    n: int
    seed: int
    grid: str | None
    metrics: tuple[str, ...]
    missing: Mapping[str, str]
    titles: Mapping[str, str]
    better: Mapping[str, Better]
    floors: Mapping[str, float | None]
    floors_missing: tuple[str, ...] = ()
    features: FeatureSpace
    reference: ReferenceFacts
    protocol: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class CurveResult(CurveFacts):
    """Quality of one model at many samplers and costs.

    Attributes:
        guidance: guidance scale.
        points: cheapest first.
        skipped: points that are impossible.
        best: metric -> the best point within each budget.
    """

    guidance: float | None
    points: tuple[CurvePoint, ...] = stored_as("cells")
    skipped: tuple[SkippedPoint, ...] = ()
    best: Mapping[str, tuple[BestPoint, ...]]

    @property
    def samplers(self) -> list[str]:
        """Their names, in the order of the points."""
        return list(dict.fromkeys(one.sampler for one in self.points))


@dataclass(frozen=True, kw_only=True)
class GuidancePoint:
    """A point along guidance.

    Attributes:
        guidance: guidance scale.
        nfe: network forwards per image.
        seconds: of sampling, per image.
        metrics: by name.
    """

    guidance: float
    nfe: int
    seconds: float
    metrics: Mapping[str, PointMetric]


@dataclass(frozen=True, kw_only=True)
class ScaleDifference(Interval):
    """The best scale less another one, image by image: both are drawn from the same noise.

    Attributes:
        guidance: the other scale.
    """

    guidance: float

    @property
    def settled(self) -> bool:
        """Whether its interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True, kw_only=True)
class BestScale(Interval):
    """The scale that is best in a metric.

    Attributes:
        guidance: guidance scale.
        alike: other scales whose intervals overlap with its own, so that their order may be chance.
        differences: to every other scale; empty for a metric or a number of samples that has none.
    """

    guidance: float
    alike: tuple[float, ...]
    differences: tuple[ScaleDifference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GuidanceResult(CurveFacts):
    """Quality of one model along the scale of its guidance.

    Attributes:
        sampler: its name, the same for all points.
        steps: of the sampler.
        points: in the order of their scales.
        best: metric -> the best scale.
    """

    sampler: str
    steps: int
    points: tuple[GuidancePoint, ...] = stored_as("cells")
    best: Mapping[str, BestScale]
