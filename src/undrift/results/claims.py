"""The result of ``undrift claims``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

from undrift.metrics.estimate import Estimate
from undrift.results.comparison import BudgetKind, ComparisonResult, RunResult, SamplingSpeed
from undrift.results.curve import Interval
from undrift.results.verdict import ClaimResult
from undrift.schema import optional, stored_as

Pixels = tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
"""Images (n, H, W, C), 0 to 255."""


class RunFacts(TypedDict):
    """Which run was measured."""

    method: str
    budget: BudgetKind
    seed: int


def facts_of(run: RunResult) -> RunFacts:
    """Of ``run``, for its measurements."""
    return {"method": run.method, "budget": run.budget, "seed": run.seed}


def interval_of(estimate: Estimate) -> Interval:
    """Value and ends of an estimate."""
    return Interval(estimate.value, estimate.low, estimate.high)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement of one run beyond its metrics, or of the runs of one seed.

    Attributes:
        method: of the run.
        budget: what it has in common with the others.
        seed: of its training.
        cpu_seconds: processor time of the measurement; None where it is unknown.
    """

    method: str
    budget: BudgetKind = stored_as("ledger")
    seed: int
    cpu_seconds: float | None = optional()


@dataclass(frozen=True, kw_only=True)
class ModesFound(Measurement):
    """Modes that samples reach, of data whose modes are known.

    Attributes:
        share: of the modes that were found.
        modes: of the data.
        found: of these.
        kl: divergence of the modes' shares from even ones.
        floor_kl: expected divergence of as many draws of the data.
        n: samples.
    """

    share: float
    modes: int
    found: int
    kl: Interval
    floor_kl: float
    n: int


@dataclass(frozen=True, kw_only=True)
class PlaneModes(ModesFound):
    """Modes of a 2-D mixture of Gaussians.

    Attributes:
        kind: the data set.
        touched: modes with a sample.
        high_quality: share of samples near a mode.
        perfect_quality: the same of draws of the data.
        spread: spread of samples around their modes over the data's; None where none is near.
        points: some samples.
    """

    kind: Literal["ring8", "grid25"]
    touched: int
    high_quality: Interval
    perfect_quality: float
    spread: Interval | None
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class StackedModes(ModesFound):
    """Modes of stacked digits.

    Attributes:
        kind: the data set.
        classifier_accuracy: share of single held-out digits that the classifier reads right.
    """

    kind: Literal["stacked"] = "stacked"
    classifier_accuracy: Interval


@dataclass(frozen=True, kw_only=True)
class TailShares(Measurement):
    """Classes of long-tailed data among samples, by a classifier.

    Attributes:
        kind: the data set.
        share: of the rare classes' images that are sampled.
        real_share: the same of the training images.
        rare: names of the rare classes.
        classes: names of all, from frequent to rare.
        wanted: class shares of the training images.
        made: class shares of the samples.
        kl: divergence of the two.
        floor_kl: expected divergence of as many training images.
        n: samples.
    """

    kind: Literal["tail"] = "tail"
    share: float
    real_share: float
    rare: tuple[str, ...]
    classes: tuple[str, ...]
    wanted: tuple[float, ...]
    made: tuple[float, ...]
    kl: Interval
    floor_kl: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Bits(Interval):
    """Bits per dimension by one method.

    Attributes:
        nfe: network evaluations per image.
        seconds: of computing it.
        n: images.
    """

    nfe: float
    seconds: float
    n: int


@dataclass(frozen=True, kw_only=True)
class LikelihoodBits(Measurement):
    """Bits per dimension under a diffusion model, and under pixel histograms.

    Attributes:
        kind: of the measurement.
        held_out: "elbo" and "ode" -> of held-out images.
        train: the same of training images.
        split: that is held out.
        protocol: method -> how it was estimated.
        histogram: bits of the held-out images under pixel histograms given the class.
    """

    kind: Literal["bits"] = "bits"
    held_out: Mapping[str, Bits]
    train: Mapping[str, Bits]
    split: str
    protocol: Mapping[str, str]
    histogram: float


@dataclass(frozen=True, kw_only=True)
class LikelihoodRefusal(Measurement):
    """The error with which a GAN refuses a likelihood.

    Attributes:
        kind: of the measurement.
        answer: the error.
    """

    kind: Literal["answer"] = "answer"
    answer: str


@dataclass(frozen=True)
class MetricAtSteps(Interval):
    """A metric at a number of steps.

    Attributes:
        floor: what as many real images score; None where that was not measured.
    """

    floor: float | None


@dataclass(frozen=True, kw_only=True)
class StepsPoint:
    """A run at a number of sampling steps.

    Attributes:
        steps: of the sampler.
        nfe: network forwards per image.
        fd: Frechet distance.
        coverage: of held-out images; None where it could not be computed.
    """

    steps: int
    nfe: float
    fd: MetricAtSteps
    coverage: MetricAtSteps | None = optional()


@dataclass(frozen=True, kw_only=True)
class StepsCurve(Measurement):
    """A diffusion model at several numbers of sampling steps.

    Attributes:
        kind: of the measurement.
        points: fewest steps first.
        n: samples of each.
    """

    kind: Literal["steps"] = "steps"
    points: tuple[StepsPoint, ...]
    n: int


@dataclass(frozen=True, kw_only=True)
class TradeOffPoint:
    """A run at a value of its guidance or truncation; metrics are None where not computed.

    Attributes:
        dial: the value.
        fd: Frechet distance.
        precision: fidelity.
        recall: diversity.
        density: fidelity.
        coverage: diversity.
        label_accuracy: share of samples of the requested class, by a classifier.
    """

    dial: float
    fd: Interval | None = optional()
    precision: Interval | None = optional()
    recall: Interval | None = optional()
    density: Interval | None = optional()
    coverage: Interval | None = optional()
    label_accuracy: Interval | None = optional()


@dataclass(frozen=True, kw_only=True)
class TradeOff(Measurement):
    """Fidelity against diversity along guidance (diffusion) or truncation (GAN).

    Attributes:
        kind: of the measurement.
        points: the first one where it is off.
        name: of the setting.
        n: samples of each.
    """

    kind: Literal["dial"] = "dial"
    points: tuple[TradeOffPoint, ...]
    name: str
    n: int


@dataclass(frozen=True, kw_only=True)
class TimedSteps(SamplingSpeed):
    """Cost of sampling at a number of steps.

    Attributes:
        steps: of the sampler; None is one pass of a generator.
    """

    steps: int | None


@dataclass(frozen=True, kw_only=True)
class SamplingTimes(Measurement):
    """Cost of sampling with a run.

    Attributes:
        kind: of the measurement.
        points: at each number of steps.
        megabytes: memory of a batch.
        batch: images of a batch.
    """

    kind: Literal["times"] = "times"
    points: tuple[TimedSteps, ...]
    megabytes: float
    batch: int


@dataclass(frozen=True, kw_only=True)
class InpaintingQuality:
    """Completions of hidden pixels by one model; see `undrift.claims.measures.inpainting`.

    Attributes:
        n: images.
        variants: completions of each.
        rmse: root mean square error of a masked value, in pixel values.
        psnr: the same in decibels; None of no error at all.
        psnr_of_mean: of the mean of an image's completions; None of one or of no error.
        calibration: squared difference of two completions over squared error; None as before.
        diversity: root mean square difference of two completions; None of one.
        nfe: network forwards per completion, backward passes not counted.
        seconds_per_completion: wall clock.
        settings: that repeat the completions.
        images: some completions.
    """

    n: int
    variants: int
    rmse: Interval
    psnr: Interval | None
    psnr_of_mean: Interval | None
    calibration: Interval | None
    diversity: Interval | None
    nfe: float
    seconds_per_completion: float = stored_as("seconds_per_fill")
    settings: Mapping[str, object]
    images: Pixels


@dataclass(frozen=True, kw_only=True)
class Inpaintings(Measurement):
    """Masked halves of held-out images, completed by all methods in equal time.

    Attributes:
        kind: of the measurement.
        methods: name -> quality.
        originals: some of the images.
        visible: the same, their masked half grey.
        count: images.
    """

    kind: Literal["filling"] = "filling"
    methods: Mapping[str, InpaintingQuality]
    originals: Pixels
    visible: Pixels
    count: int


AnyMeasurement = (
    PlaneModes
    | StackedModes
    | TailShares
    | LikelihoodBits
    | LikelihoodRefusal
    | StepsCurve
    | TradeOff
    | SamplingTimes
    | Inpaintings
)


@dataclass(frozen=True)
class StudyCost:
    """What a study cost.

    Attributes:
        runs: of all comparisons.
        trials: before them.
        failed_runs: runs without samples.
        training_seconds: wall clock of all runs and trials.
        processor_seconds: processor time of their training.
        measurements: of all kinds.
        measuring_processor_seconds: their processor time.
        measurements_of_unknown_cost: those of which it is unknown.
        images_seen: real images, of all runs and trials.
        command_seconds: wall clock of the command that wrote the result.
    """

    runs: int
    trials: int
    failed_runs: int
    training_seconds: float
    processor_seconds: float
    measurements: int
    measuring_processor_seconds: float
    measurements_of_unknown_cost: int
    images_seen: int
    command_seconds: float


@dataclass(frozen=True, kw_only=True)
class ClaimsResult:
    """Verdicts on six claims about diffusion models and GANs.

    Attributes:
        version: of undrift.
        command: that repeats the study.
        preset: its name.
        data: what the user named.
        claims: the verdicts.
        comparisons: by name.
        measurements: by name.
        failed: name of a measurement that failed -> why.
        cost: of all of it.
    """

    version: str
    command: str
    preset: str
    data: str
    claims: tuple[ClaimResult, ...]
    comparisons: Mapping[str, ComparisonResult] = stored_as("tables")
    measurements: Mapping[str, AnyMeasurement] = stored_as("pieces")
    failed: Mapping[str, str] = stored_as("failed_pieces")
    cost: StudyCost
