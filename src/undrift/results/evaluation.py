"""The result of ``undrift evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from undrift.errors import UsageError, shown
from undrift.json_types import JsonObject
from undrift.metrics.results import (
    Difference,
    Measurements,
    MetricResult,
    ReferenceFacts,
    SampleFacts,
    Sensitivity,
    read_measurements,
)
from undrift.results.result import Result
from undrift.runs.periodic_evaluation import BestWeights
from undrift.schema import optional


@dataclass(frozen=True)
class EvaluatedReference(ReferenceFacts):
    """The reference images of an evaluation.

    Attributes:
        source: what the user named.
        available: images of the split.
        fingerprint: hash of pixels, labels and splits.
        findings: what loading them found; None of images that were stored or in memory.
    """

    source: str
    available: int
    fingerprint: str
    findings: Mapping[str, object] | None


@dataclass(frozen=True)
class EvaluatedSamples(SampleFacts):
    """The samples of an evaluation.

    Attributes:
        available: samples of the set; None where a model drew them.
        findings: what loading them found; None where nothing was loaded.
    """

    available: int | None
    findings: Mapping[str, object] | None


@dataclass(frozen=True)
class EvaluationCost:
    """What an evaluation cost.

    Attributes:
        nfe: network forwards per sample.
        sampling_seconds: of sampling, over all processes.
        metrics_seconds: of computing features and metrics.
        threads: CPU threads.
    """

    nfe: float
    sampling_seconds: float
    metrics_seconds: float
    threads: int


@dataclass(frozen=True, kw_only=True)
class EvaluationResult(Measurements, Result):
    """Metrics of a model or of a set of samples.

    Attributes:
        reference: reference images.
        samples: samples.
        sampling: settings that the samples depend on; empty where they were given.
        cost: what it cost.
        against: the same of the second set of samples; None where there is one only.
        differences: metric -> difference of the two; None where there is one only.
    """

    reference: EvaluatedReference
    samples: EvaluatedSamples
    sampling: Mapping[str, object]
    cost: EvaluationCost
    against: EvaluationResult | None = optional()
    differences: Mapping[str, Difference] | None = optional()


class ShownMetrics(Protocol):
    """What a report shows of an evaluation: `EvaluationResult` and `FirstMetrics` have it."""

    @property
    def metrics(self) -> Mapping[str, MetricResult]:
        """By name."""
        ...

    @property
    def missing(self) -> Mapping[str, str]:
        """Name of a metric that could not be computed -> why."""
        ...

    @property
    def protocol(self) -> str:
        """What all metrics have in common, as a sentence."""
        ...

    @property
    def sensitivity(self) -> tuple[Sensitivity, ...] | None:
        """Which flaws the metrics notice in images like these; None where this was not tested."""
        ...

    @property
    def sensitivity_missing(self) -> str | None:
        """Why it was not tested."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoMetrics:
    """Why a run has no first metrics: its images are all the same.

    Attributes:
        metrics: none.
        missing: name of a metric -> why.
        sensitivity: none.
        sensitivity_missing: why it was not tested what metrics notice.
    """

    metrics: Mapping[str, MetricResult] = field(default_factory=dict)
    missing: Mapping[str, str]
    sensitivity: tuple[Sensitivity, ...] = ()
    sensitivity_missing: str


@dataclass(frozen=True, kw_only=True)
class BestResult(Measurements, BestWeights):
    """Metrics of the weights that validated best."""


@dataclass(frozen=True, kw_only=True)
class FirstResult(Measurements):
    """The metrics that a run computes when its training ends, ``evaluation/first.json``.

    Attributes:
        best: the same of the weights that validated best; None where none were chosen.
    """

    best: BestResult | None = optional()


@dataclass(frozen=True, kw_only=True)
class FirstMetrics:
    """``evaluation/first.json`` of any version, as far as reports show it.

    Attributes:
        metrics: by name.
        missing: name of a metric that could not be computed -> why.
        protocol: what all metrics have in common, as a sentence.
        sensitivity: which flaws they notice in images like these; None where this was not tested.
        sensitivity_missing: why not.
        step: of the weights that validated best; None of the last ones.
        best: the same of the weights that validated best.
    """

    metrics: Mapping[str, MetricResult] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    protocol: str = ""
    sensitivity: tuple[Sensitivity, ...] | None = None
    sensitivity_missing: str | None = None
    step: int | None = None
    best: FirstMetrics | None = None

    @classmethod
    def read(cls, plain: JsonObject, where: str) -> FirstMetrics:
        """What a run has written as ``evaluation/first.json``.

        Args:
            plain: a JSON object.
            where: the file; errors start with it.

        Raises:
            UsageError: a value of another type.
        """
        best = plain.get("best")
        names = {one.name for one in fields(cls)} - {"best"}
        known = {name: value for name, value in plain.items() if name in names}
        found = read_measurements(cls, {"metrics": {}, **known}, where)
        if best is None:
            return found
        if not isinstance(best, Mapping):
            raise UsageError(f"{where}: best: got {shown(best)}, wanted a mapping")
        return replace(found, best=cls.read(dict(best), f"{where}: best"))
