"""The result of ``undrift evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undrift.metrics.results import Difference, Measurements, ReferenceFacts, SampleFacts
from undrift.results.result import Result
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
