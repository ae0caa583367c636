"""The result of ``undrift compare``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from undrift.errors import UsageError
from undrift.families import model_from_plain
from undrift.files.reading import read_mapping
from undrift.metrics.results import FeatureSpace
from undrift.metrics.seeds import OverSeeds
from undrift.results.evaluation import EvaluatedReference
from undrift.results.verdict import ClaimResult
from undrift.runs.configuration import RunConfig
from undrift.schema import from_plain, optional, stored_as

Setting = str | int | float | bool
"""A setting of a run as plain data."""

BudgetKind = Literal["seconds", "images"]
"""What is equal among runs: wall-clock time of training, or real images seen."""

Standing = Literal["better", "worse", "alike", "open"]
"""``alike``: the whole interval lies within the margin; ``open``: it leaves that undecided."""

EndState: TypeAlias = Literal["done", "diverged", "failed"]
"""How a run of a comparison ended."""


@dataclass(frozen=True)
class RunMetric:
    """A metric of one run.

    Attributes:
        name: of the metric, with its feature space.
        value: the estimate.
        low: lower end of its 95 % interval; None where it has none.
        high: upper end.
        floor: what as many real images score; None where that was not measured.
        floor_missing: why not.
        n: samples.
        n_reference: reference images.
        protocol: everything that the number depends on, as a sentence.
        chance: what samples score that have nothing to do with their conditions; None where the
            metric has no such number.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    floor: float | None
    floor_missing: str | None
    n: int
    n_reference: int
    protocol: str
    chance: float | None = optional()


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A training run of a comparison.

    Attributes:
        name: of its folder.
        method: name of the method.
        base: what `undrift train --method` was given.
        settings: of the method's own.
        budget: what it has in common with the others.
        amount: how much: ``2m``, or ``200000``.
        seed: random seed.
        point: point of the search space that its settings are at; 0 is the recipe.
        state: how it ended.
        threads: CPU threads.
        workers: runs at a time.
        attempts: processes that trained it, one after another.
        processor_share: processor time over wall-clock time of these; None where it is unknown.
        process_seconds: their wall-clock time.
        cpu_seconds: their processor time; None where it is unknown.
        steps: optimiser updates.
        images: real images seen.
        seconds: of training, from the probe to the last update.
        starts: how often training was started or resumed.
        health: state by the last periodic evaluation (see `undrift.runs.collapse`); None where
            none was made.
    """

    name: str
    method: str
    base: str = stored_as("family")
    settings: Mapping[str, Setting]
    budget: BudgetKind = stored_as("ledger")
    amount: str
    seed: int
    point: int
    state: EndState
    threads: int
    workers: int
    attempts: int
    processor_share: float | None
    process_seconds: float
    cpu_seconds: float | None
    steps: int
    images: int
    seconds: float
    starts: int
    health: str | None

    def value(self, metric: str) -> float | None:
        """Value of a metric; None where it was not measured."""
        del metric
        return None

    @property
    def ending(self) -> str:
        """How it ended, and the reason of a failure."""
        return self.state


@dataclass(frozen=True, kw_only=True)
class MeasuredRun(RunResult):
    """A run that was trained and measured.

    Attributes:
        state: always "done".
        metrics: by name.
        missing: name of a metric that could not be computed -> why.
        features: feature space.
        reference: reference images.
        protocol: what all metrics have in common, as a sentence.
        sampling: settings that the samples depend on.
        nfe: network forwards per sample.
        measuring_cpu_seconds: processor time of measuring; None where it is unknown.
    """

    state: Literal["done"] = "done"
    metrics: Mapping[str, RunMetric]
    missing: Mapping[str, str]
    features: FeatureSpace
    reference: EvaluatedReference
    protocol: str
    sampling: Mapping[str, object]
    nfe: float
    measuring_cpu_seconds: float | None = None

    def value(self, metric: str) -> float | None:
        """Value of a metric; None where it was not measured."""
        found = self.metrics.get(metric)
        return None if found is None else found.value


@dataclass(frozen=True, kw_only=True)
class FailedRun(RunResult):
    """A run that could not be trained or measured.

    Attributes:
        state: "diverged", which is a result, or "failed", which the next command tries again.
        stage: "train" or "evaluate".
        reason: the last line of the command.
        code: its exit code.
    """

    state: Literal["diverged", "failed"]
    stage: str
    reason: str
    code: int

    @property
    def ending(self) -> str:
        """How it ended, and the reason."""
        return f"{self.state}: {self.reason}"


@dataclass(frozen=True)
class FailedShare:
    """Share of runs whose training failed, with Wilson's 95 % interval.

    Attributes:
        count: runs that diverged, or whose samples went bad and stayed bad.
        of: these and the runs that did not.
        value: the share; None of no runs.
        low: lower end of its interval.
        high: upper end.
    """

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SeedMean(OverSeeds):
    """A mean over seeds.

    Attributes:
        values: seed -> value.
    """

    values: Mapping[int, float]


@dataclass(frozen=True)
class PairedDifference(OverSeeds):
    """A metric of a method less the first method's, within each seed.

    Attributes:
        margin: what counts as a difference.
        standing: of the method to the first one.
    """

    margin: float
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """A method at one budget: a row of its table.

    Attributes:
        method: its name.
        base: what `undrift train --method` was given.
        runs: how many.
        done: of these, how many were measured.
        failed: share whose training failed.
        reasons: why, of these and of those without samples.
        metrics: by name, means over seeds.
        missing: name of a metric that could not be computed -> why.
        costs: images, steps, seconds, cpu_seconds, processor_share and nfe, means over seeds.
        contrasts: metric -> difference to the first method; empty of the first one itself.
    """

    method: str
    base: str = stored_as("family")
    runs: int
    done: int
    failed: FailedShare
    reasons: tuple[str, ...]
    metrics: Mapping[str, SeedMean]
    missing: Mapping[str, str]
    costs: Mapping[str, SeedMean]
    contrasts: Mapping[str, PairedDifference]

    def values(self, metric: str) -> Mapping[int, float]:
        """Seed -> value of a metric; empty where it was not measured."""
        found = self.metrics.get(metric)
        return {} if found is None else found.values


@dataclass(frozen=True, kw_only=True)
class BudgetResult:
    """All methods at one budget: a table.

    Attributes:
        kind: what is equal.
        amount: how much: ``2m``, or ``200000``.
        words: both, as a heading.
        methods: in the order of the comparison.
        floors: metric -> what real images score.
        floors_missing: why some have none, a line each.
        claims: verdicts on the six claims; empty unless one diffusion model meets GANs.
    """

    kind: BudgetKind
    amount: str
    words: str
    methods: tuple[MethodResult, ...]
    floors: Mapping[str, float]
    floors_missing: tuple[str, ...]
    claims: tuple[ClaimResult, ...]


@dataclass(frozen=True, kw_only=True)
class BudgetClaim(ClaimResult):
    """The verdict on a claim at one budget.

    Attributes:
        budget: what is equal.
    """

    budget: BudgetKind = stored_as("ledger")


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """What a method of a comparison is.

    Attributes:
        name: as tables, files and results call it.
        base: what `undrift train --method` was given.
        settings: fields of `TrainOptions` -> values in place of the comparison's.
    """

    name: str
    base: str = stored_as("method")
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class SearchAxis:
    """One axis of the search space.

    Attributes:
        name: what is multiplied.
        most: largest factor; the least is one over it.
    """

    name: str
    most: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial of tuning.

    Attributes:
        point: its number; 0 is the recipe.
        factors: axis -> factor.
        settings: what they set.
        state: how it ended.
        value: of the metric on validation images; None where it failed.
        low: lower end of its 95 % interval.
        high: upper end.
        seconds: of training.
        cpu_seconds: processor time of training; None where it is unknown.
        images: real images seen.
        steps: optimiser updates.
        measuring_cpu_seconds: processor time of measuring; None where it is unknown.
        reason: why it failed.
    """

    point: int
    factors: Mapping[str, float]
    settings: Mapping[str, Setting]
    state: EndState
    value: float | None
    low: float | None
    high: float | None
    seconds: float
    cpu_seconds: float | None
    images: int
    steps: int
    measuring_cpu_seconds: float | None
    reason: str | None = optional()


@dataclass(frozen=True)
class TunedMethod:
    """What the trials of a method found.

    Attributes:
        point: number of the best trial; 0, the recipe, where none could be measured.
        seconds: of training, all of its trials.
        trials: in the order of their numbers.
    """

    point: int
    seconds: float
    trials: tuple[Trial, ...]

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What the best trial sets; nothing where that is the recipe."""
        return next((trial.settings for trial in self.trials if trial.point == self.point), {})


@dataclass(frozen=True, kw_only=True)
class ComparisonTuning:
    """Equal tuning of all methods before their runs.

    Attributes:
        trials: of each method.
        share: length of a trial, as a share of a run's.
        seed: of all trials.
        metric: that decides between trials: the lowest.
        space: axes of the search space.
        budgets: what is equal -> method -> what its trials found.
    """

    trials: int
    share: float
    seed: int
    metric: str
    space: tuple[SearchAxis, ...]
    budgets: Mapping[BudgetKind, Mapping[str, TunedMethod]] = stored_as("ledgers")


@dataclass(frozen=True)
class ParameterCounts:
    """Trainable parameters.

    Attributes:
        generator: of the denoiser or generator.
        all: with everything else that is trained, such as a discriminator.
    """

    generator: int
    all: int


@dataclass(frozen=True, kw_only=True)
class SamplingSpeed:
    """What it costs to sample an image.

    Attributes:
        nfe: network forwards per image.
        flops: per image: matrix products, convolutions and attention, two per multiply-add.
        single_ms: median milliseconds of one image alone.
        batch_ms: the same per image of a batch.
        batch: images of a batch.
        threads: CPU threads.
    """

    nfe: float
    flops: float
    single_ms: float
    batch_ms: float
    batch: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class MethodSpeed(SamplingSpeed):
    """What it costs to sample an image with a method, and to train on one.

    Attributes:
        training_flops: per real image seen.
        device: where samples were timed.
        run: that was timed; None in the file of that run.
    """

    training_flops: float
    device: str
    run: str | None = optional()


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """What all runs of a comparison have in common.

    Fields that earlier versions did not store have defaults: what their runs were trained with.

    Attributes:
        version: of undrift.
        data: what the user named.
        fingerprint: of the decoded images, labels and splits.
        train_images: training images.
        image_shape: height, width and channels, stored as ``shape``.
        classes: of the labels; 0 where these are not used.
        size: see `undrift.options.CompareOptions`, as the next ones.
        channels: as there.
        label_column: as there.
        batch_size: as there.
        flip: as there.
        conditional: as there.
        holdout: as there.
        evaluate_every: as there.
        evaluate_samples: as there.
        bare: as there.
        text: as there, as the next four.
        text_encoder: as there.
        caption_column: as there.
        numbers: as there.
        maps: as there.
        device: where runs compute.
        threads: CPU threads of each.
    """

    version: str
    data: str
    fingerprint: str
    train_images: int
    image_shape: tuple[int, int, int] = stored_as("shape")
    classes: int
    size: int | str | None
    channels: int | None
    label_column: str | None
    batch_size: int | None
    flip: bool
    conditional: bool
    holdout: float
    evaluate_every: int | None
    evaluate_samples: int
    bare: bool
    device: str
    threads: int
    text: bool = False
    text_encoder: str = "byte"
    caption_column: str | None = None
    numbers: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparisonProtocol(SharedSettings):
    """What all runs have in common, and how they are measured.

    Attributes:
        parameters: what the sizes of the networks follow; None is the first method's.
        n: samples of each run.
        sample_seed: of their initial noise.
        workers: runs at a time.
        measuring: what all metrics have in common, as a sentence.
    """

    parameters: str | None
    n: int
    sample_seed: int
    workers: int
    measuring: str


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """Methods trained with several seeds at equal budgets, and measured alike.

    Attributes:
        version: of undrift.
        command: that repeats it; empty where no flag says what a method has of its own.
        data: what the user named.
        methods: their names; differences are to the first.
        method_settings: what they are.
        seeds: of training.
        metrics: names of those that could be measured.
        titles: metric -> its name with the feature space.
        better: metric -> which way is better.
        margins: metric -> margin of a difference, in words.
        claims: verdicts on the six claims, of all budgets.
        budgets: one table for each budget.
        tuning: trials before the runs; None where nothing was tuned.
        missing: name of a metric that could not be computed -> why.
        parameters: what is equal -> method -> parameters.
        speeds: what is equal -> method -> cost of sampling and of training.
        protocol: what all runs have in common.
        runs: every run.
        remarks: what a reader has to know before the tables.
        configs: what is equal -> method -> what its runs are trained with.
    """

    version: str
    command: str
    data: str
    methods: tuple[str, ...]
    method_settings: tuple[MethodSettings, ...] = stored_as("arms")
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    titles: Mapping[str, str]
    better: Mapping[str, str]
    margins: Mapping[str, str]
    claims: tuple[BudgetClaim, ...]
    budgets: tuple[BudgetResult, ...] = stored_as("ledgers")
    tuning: ComparisonTuning | None
    missing: Mapping[str, str]
    parameters: Mapping[BudgetKind, Mapping[str, ParameterCounts]]
    speeds: Mapping[BudgetKind, Mapping[str, MethodSpeed]]
    protocol: ComparisonProtocol
    runs: tuple[MeasuredRun | FailedRun, ...]
    remarks: tuple[str, ...]
    configs: Mapping[BudgetKind, Mapping[str, RunConfig]]


def read_comparison(path: Path) -> ComparisonResult:
    """The result that is stored in ``path``, a ``report.json``.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    plain = read_mapping(path, UsageError, "give the command that made it again")
    found = from_plain(ComparisonResult, plain, str(path))
    configs = {
        kind: {
            name: replace(config, model=model_from_plain(config.model, f"{path}: {name}"))
            for name, config in by_method.items()
        }
        for kind, by_method in found.configs.items()
    }
    return replace(found, configs=configs)
