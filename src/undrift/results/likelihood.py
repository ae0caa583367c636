"""The result of ``undrift likelihood``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from undrift.results.result import Result
from undrift.schema import optional


@dataclass(frozen=True)
class ScoredData:
    """The images that were scored.

    Attributes:
        source: what the user named.
        split: "test", "validation", "train" or "all".
        count: how many were scored.
        available: images of the split.
        value_levels: values that a pixel can take.
        value_levels_rule: where that number comes from.
        fingerprint: hash of the whole data set.
        findings: what loading it found.
    """

    source: str
    split: str
    count: int
    available: int
    value_levels: int
    value_levels_rule: str
    fingerprint: str
    findings: Mapping[str, object] | None


@dataclass(frozen=True)
class MethodResult:
    """The likelihood by one method.

    Attributes:
        bits_per_dim: mean over the images of an upper bound on - log2 P per dimension.
        standard_error: of that mean.
        low: lower end of its 95 % interval.
        high: upper end.
        nats: mean of the bound on - log P per image.
        terms: parts of the bound that add up to it, in bits per dimension.
        n: images.
        dimensions: values per image.
        nfe: network evaluations per image.
        backward_passes: per image.
        seconds: of wall-clock time.
        protocol: how it was estimated, as a sentence.
    """

    bits_per_dim: float
    standard_error: float
    low: float
    high: float
    nats: float
    terms: Mapping[str, float]
    n: int
    dimensions: int
    nfe: float
    backward_passes: float
    seconds: float
    protocol: str


@dataclass(frozen=True)
class MethodGap:
    """Bits per dimension of the ODE less those of the bound, of the same images.

    Attributes:
        value: mean.
        standard_error: of the mean.
        low: lower end of its 95 % interval.
        high: upper end.
        of: which is which, as a sentence.
    """

    value: float
    standard_error: float
    low: float
    high: float
    of: str


@dataclass(frozen=True, kw_only=True)
class LikelihoodResult(Result):
    """Bits per dimension of images under a model.

    Attributes:
        weights: which weights of a run.
        data: the images.
        classes: "given" their label, "marginal" (summed over the classes) or "none".
        seed: of every random choice.
        methods: "elbo", "ode" or both.
        threads: CPU threads.
        gap: of two methods, their difference.
        given: what else was given with each image, "text" and "numbers"; None for nothing.
    """

    weights: str
    data: ScoredData
    classes: Literal["given", "marginal", "none"]
    seed: int
    methods: Mapping[str, MethodResult]
    threads: int
    gap: MethodGap | None = optional()
    given: tuple[str, ...] | None = optional()
