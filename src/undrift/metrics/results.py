"""Results of metrics, as `undrift.schema.to_plain` writes them into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from undrift.errors import UsageError, shown
from undrift.json_types import JsonValue
from undrift.metrics.kernel import SubsetDistance
from undrift.metrics.memorization import Pair
from undrift.schema import from_plain, optional


class WithMetrics(Protocol):
    """A dataclass with results of metrics."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def metrics(self) -> Mapping[str, MetricResult]:
        """By name."""
        ...


Measured = TypeVar("Measured", bound=WithMetrics)


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric of one set of samples.

    Attributes:
        name: of the metric, with its feature space.
        value: the estimate.
        low: lower end of its 95 % interval; None where it has none.
        high: upper end.
        floor: what as many real images score; None where that cannot be measured.
        floor_missing: why not.
        ideal: what a perfect model scores, where that is known.
        n: samples that it was computed from.
        n_reference: reference images that it was computed from.
        better: which way is better.
        interval: estimator of the interval.
        protocol: everything that the number depends on, as a sentence.
        seconds: of computing it.
        unseen: flaws of images like these that the metric was found not to notice; None where
            this was not tested.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    floor: float | None = None
    floor_missing: str | None = optional()
    ideal: float | None = None
    n: int
    n_reference: int
    better: Literal["lower", "higher", "neither"]
    interval: str
    protocol: str
    seconds: float = 0.0
    unseen: tuple[str, ...] | None = optional()


@dataclass(frozen=True, kw_only=True)
class KernelResult(MetricResult):
    """A kernel distance.

    Attributes:
        as_published: over subsets, as in the literature; None in other feature spaces than
            Inception's.
    """

    as_published: SubsetDistance | None = optional()


@dataclass(frozen=True, kw_only=True)
class ModesResult(MetricResult):
    """Divergence of the class shares of samples and reference.

    Attributes:
        modes: classes that samples show.
        classes: classes of the reference.
        floor_kl: expected divergence of as many real images.
    """

    modes: int
    classes: int
    floor_kl: float


@dataclass(frozen=True, kw_only=True)
class ByClassResult(MetricResult):
    """A metric that is also measured class by class.

    Attributes:
        classes: name of a class -> value.
        left_out: name of a class that could not be measured -> why.
    """

    classes: Mapping[str, float]
    left_out: Mapping[str, str] | None = optional()


@dataclass(frozen=True, kw_only=True)
class PromptResult(MetricResult):
    """Share of samples whose own prompt is among the nearest captions.

    Attributes:
        chance: the share of images that have nothing to do with their prompts.
        offered: captions in all.
    """

    chance: float
    offered: int


@dataclass(frozen=True, kw_only=True)
class SwapResult(MetricResult):
    """Share of samples nearer to their own prompt than to the one with a word swapped.

    Attributes:
        chance: the share of a model that ignores its prompts.
        before: share of the samples before the swap that are nearer to the new prompt.
        changed: share of their pixels that the swap changed.
        unrelated: share that differs between samples of other prompts and other noise.
    """

    chance: float
    before: float
    changed: float
    unrelated: float

    @property
    def after(self) -> float:
        """Share of the samples after the swap that are nearer to the new prompt."""
        return 2 * self.value - 1 + self.before


@dataclass(frozen=True, kw_only=True)
class NumberResult(MetricResult):
    """Error of the numbers that samples were drawn with.

    Attributes:
        numbers: name of a number -> mean error in its own unit.
        real: the same of held-out images; None where there are none.
    """

    numbers: Mapping[str, float]
    real: Mapping[str, float] | None


@dataclass(frozen=True, kw_only=True)
class MaskResult(MetricResult):
    """Overlap of the masks read from samples and those that they were drawn with.

    Attributes:
        classes: name of a mask -> IoU of each class; None of one that does not occur.
        shuffled: the mean overlap with the masks of other samples.
    """

    classes: Mapping[str, tuple[float | None, ...]]
    shuffled: float


@dataclass(frozen=True, kw_only=True)
class MapResult(MetricResult):
    """Distance of the maps derived from samples and those that they were drawn with.

    Attributes:
        maps: name of a map -> mean absolute difference, in pixel values.
        shuffled: the same with the maps of other samples.
    """

    maps: Mapping[str, float]
    shuffled: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class MemorizationResult(MetricResult):
    """Share of samples that are near-copies of training images.

    Attributes:
        flagged: whether there are significantly more of them than of real images.
        p_value: of that test.
        exact: samples that are a training image.
        threshold: relative distance below which a sample is a near-copy.
        held_out: share of held-out images below it.
        closest: the samples nearest to a training image, nearest first; ``sample`` is a place in
            the set of samples, ``training`` one in the training images.
    """

    flagged: bool
    p_value: float
    exact: int
    threshold: float
    held_out: float | None
    closest: tuple[Pair, ...]


RESULTS: Mapping[str, type[MetricResult]] = {
    "kid": KernelResult,
    "modes": ModesResult,
    "label_accuracy": ByClassResult,
    "prompt_top1": PromptResult,
    "prompt_top5": PromptResult,
    "prompt_swap": SwapResult,
    "number_error": NumberResult,
    "mask_iou": MaskResult,
    "map_error": MapResult,
    "class_fd": ByClassResult,
    "memorization": MemorizationResult,
}
"""Metrics whose results have more numbers; all others have a `MetricResult`."""


@dataclass(frozen=True)
class Response:
    """One metric of one corruption.

    Attributes:
        metric: its key.
        corruption: its name.
        aspect: the property of the images that was destroyed.
        value: the metric of the corrupted images.
        low: lower end of its 95 % interval.
        high: upper end.
        seen: equation (1).
    """

    metric: str
    corruption: str
    aspect: str
    value: float
    low: float
    high: float
    seen: bool


@dataclass(frozen=True)
class Sensitivity:
    """What the metrics in one feature space see.

    Attributes:
        space: name of the feature space.
        n: real images that were corrupted; the same number is compared uncorrupted.
        n_reference: real images that both are compared with.
        real: metric -> its value for the uncorrupted images.
        responses: of every metric and corruption that it is meant to notice.
    """

    space: str
    n: int
    n_reference: int
    real: dict[str, float]
    responses: tuple[Response, ...]

    def unseen(self, metric: str) -> tuple[str, ...]:
        """The aspects that ``metric`` does not see on these images."""
        found = [one.aspect for one in self.responses if one.metric == metric and not one.seen]
        return tuple(dict.fromkeys(found))

    def value(self, metric: str, corruption: str) -> Response | None:
        """The response of ``metric`` to ``corruption``; None where it was not measured."""
        for one in self.responses:
            if (one.metric, one.corruption) == (metric, corruption):
                return one
        return None


@dataclass(frozen=True)
class FeatureSpace:
    """The feature space of the metrics.

    Attributes:
        name: with a hash where it was fitted.
        description: what it is.
    """

    name: str
    description: str


@dataclass(frozen=True)
class ClassifierFacts:
    """The classifier of the metrics.

    Attributes:
        name: of its weights.
        accuracy: on the reference images; None where they have no labels or it was fitted on them.
    """

    name: str
    accuracy: float | None


@dataclass(frozen=True)
class ReferenceFacts:
    """The reference images of a measurement.

    Attributes:
        split: their name: "test", "validation", "train" or "all".
        count: how many were used.
    """

    split: str
    count: int


@dataclass(frozen=True)
class SampleFacts:
    """The samples of a measurement.

    Attributes:
        count: how many were measured.
    """

    count: int


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """All metrics of one set of samples.

    Attributes:
        metrics: by name.
        missing: name of a metric that could not be computed -> why.
        features: feature space.
        classifier: None where there was none.
        reference: reference images.
        samples: samples.
        seed: of every random choice.
        protocol: what all metrics have in common, as a sentence.
        sensitivity: which flaws the metrics notice in images like these, one entry per feature
            space; None where this was not tested, empty where it cannot be.
        sensitivity_missing: why it cannot be tested.
    """

    metrics: Mapping[str, MetricResult]
    missing: Mapping[str, str]
    features: FeatureSpace
    classifier: ClassifierFacts | None
    reference: ReferenceFacts
    samples: SampleFacts
    seed: int
    protocol: str
    sensitivity: tuple[Sensitivity, ...] | None = optional()
    sensitivity_missing: str | None = optional()

    @property
    def memorization(self) -> MemorizationResult | None:
        """The metric of that name; None where it was not measured."""
        found = self.metrics.get("memorization")
        return found if isinstance(found, MemorizationResult) else None


@dataclass(frozen=True)
class Difference:
    """Difference of a metric between two sets of samples.

    Attributes:
        value: first less second.
        low: lower end of its 95 % interval.
        high: upper end.
        interval: estimator of the interval.
    """

    value: float
    low: float
    high: float
    interval: str


def floor_notes(reasons: Mapping[str, str | None]) -> list[str]:
    """One line for each reason why values of real images could not be measured.

    Args:
        reasons: metric -> reason; None where there is a value.
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason:
            names.setdefault(reason, []).append(name)
    return [
        f"real images: {', '.join(some)} not measured: {reason}" for reason, some in names.items()
    ]


def read_measurements(kind: type[Measured], plain: Mapping[str, JsonValue], where: str) -> Measured:
    """The inverse of `undrift.schema.to_plain` for a dataclass with results of metrics.

    Args:
        kind: the class.
        plain: a JSON object.
        where: the file; errors start with it.

    Raises:
        UsageError: a key that is unknown or missing, or a value of another type.
    """
    metrics = plain.get("metrics")
    if not isinstance(metrics, Mapping):
        raise UsageError(f"{where}: metrics: got {shown(metrics)}, wanted a mapping")
    found = from_plain(kind, {**plain, "metrics": {}}, where)
    read = {
        name: from_plain(RESULTS.get(name, MetricResult), one, f"{where}: metrics.{name}")
        for name, one in metrics.items()
    }
    return replace(found, metrics=read)
