"""What a comparison is asked for, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from undrift.comparison.cells import Arm, Cell, Ledger
from undrift.errors import UsageError
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.options import Split
from undrift.options.train import TrainSettings, parameter_count

_FLAGS = {"weights_file": "feature_weights", "conditional": "unconditional"}
"""Fields whose flags are called otherwise."""

RECIPE = "recipe"
"""Of ``parameters``: leave every recipe its own."""

FEWEST = 10
"""Samples of a run below which they say nothing."""


def arms_of(methods: Sequence[str]) -> tuple[Arm, ...]:
    """Each method by its recipe.

    Raises:
        UsageError: a method that there is not.
    """
    return tuple(Arm(method, method) for method in methods)


@dataclass(frozen=True)
class Compare:
    """Which methods to train on what, for how long, and how to measure them.

    Attributes:
        data: what ``undrift train`` takes.
        out: folder of the comparison.
        arms: methods, by their recipes or with settings of their own; the others are contrasted
            with the first.
        seeds: training runs of each arm and ledger.
        budget: wall-clock time of each run: the ledger of equal seconds.
        images: real images of each run: the ledger of equal images.
        metrics: names; the first one decides what is said first.
        n: samples of each run, and reference images, at most.
        reference: real images; None is the held-out part of ``data``.
        features: feature space, see `undrift.metrics.features.open_extractor`.
        weights_file: file with that space's weights, where it needs one.
        download: fetch such a file.
        split: part of the reference.
        seed: of the first run, the others follow it; also names samples and every random choice.
        parameters: of what draws images, for every arm: a number; ``recipe``, each recipe's own; or
            None, those of the first arm.
        trials: settings tried for each arm, its recipe among them; 0 leaves the recipes as they
            are.
        trial_share: length of a trial, as a share of a run's, in (0, 1].
        size: of the images: the side of squares, or width x height as ``64x48``.
        channels: 1, 3 or 4.
        label_column: column of the metadata that holds the labels; None is ``label``.
        batch_size: images of every method's batch; None leaves it to the recipes.
        flip: mirror images at random.
        conditional: learn the labels where the data has them.
        holdout: share of the training images held out.
        evaluate_every: steps between evaluations while training, for curves of quality.
        evaluate_samples: samples of each of these evaluations.
        bare: leave out every run's own first metrics and report.
        workers: runs at a time.
        threads: CPU threads of each run; None divides the cores among the workers.
        device: where to compute.
        executor: ``local``, processes on this machine, or ``slurm``, jobs of a cluster.
        slurm_partition: of the cluster; None is its default.
        slurm_minutes: time limit of a job.
    """

    data: str
    out: str
    arms: tuple[Arm, ...] = arms_of(("diffusion", "r3gan"))
    seeds: int = 5
    budget: str | None = None
    images: int | None = None
    metrics: tuple[str, ...] = ("fd", "kid", "coverage", "label_accuracy", "memorization")
    n: int = 2000
    reference: str | None = None
    features: str = "domain"
    weights_file: str | None = None
    download: bool = False
    split: Split | None = None
    seed: int = 0
    parameters: str | None = None
    trials: int = 0
    trial_share: float = 1.0
    size: int | str | None = None
    channels: Literal[1, 3, 4] | None = None
    label_column: str | None = None
    batch_size: int | None = None
    flip: bool = False
    conditional: bool = True
    holdout: float = 0.05
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    bare: bool = False
    workers: int = 1
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    executor: Literal["local", "slurm"] = "local"
    slurm_partition: str | None = None
    slurm_minutes: int = 120

    def __post_init__(self) -> None:
        """Refuse what cannot be compared; see `run_comparison`."""
        if self.budget is None and self.images is None:
            raise UsageError(
                "--budget 2m (equal seconds) or --images 200000 (equal images): give one, or both"
            )
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"--methods: {name} is there twice; name each once")
        if not names:
            raise UsageError("--methods: wanted one or more")
        for flag, value, least in (
            ("--seeds", self.seeds, 1),
            ("--workers", self.workers, 1),
            ("--n", self.n, FEWEST),
            ("--slurm-minutes", self.slurm_minutes, 1),
        ):
            if value < least:
                raise UsageError(f"{flag} {value}: wanted a whole number of at least {least}")
        if self.executor == "slurm" and (self.threads is None or self.device == "auto"):
            raise UsageError(
                "--executor slurm: give --threads and --device cpu or cuda; this machine is not "
                "the one that trains"
            )
        if self.executor == "local" and self.slurm_partition is not None:
            raise UsageError("--slurm-partition: only for --executor slurm; leave it out")
        if self.parameters is not None and self.parameters != RECIPE:
            parameter_count(self.parameters, f", or {RECIPE}")
        if self.trials < 0 or self.trials == 1:
            raise UsageError(
                f"--trials {self.trials}: wanted 0, which tunes nothing, or 2 and more, the recipe "
                "itself among them"
            )
        if not 0 < self.trial_share <= 1:
            raise UsageError(f"--trial-share {self.trial_share}: wanted a share above 0, up to 1")
        if self.trials and self.split == "validation":
            raise UsageError("--split validation: --trials tunes on these images; report on others")
        for name in chosen_metrics(self.metrics):
            if METRICS[name].better == "neither":
                raise UsageError(
                    f"--metrics {name}: it has no better and worse; choose among "
                    + ", ".join(n for n, one in METRICS.items() if one.better != "neither")
                )
        for ledger in self.ledgers:
            for arm in self.arms:
                self.settings(Cell(arm, ledger, self.seed))

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """What is equal in turn: seconds, images, or first one and then the other."""
        found = []
        if self.budget is not None:
            found.append(Ledger("seconds", self.budget.strip()))
        if self.images is not None:
            found.append(Ledger("images", str(self.images)))
        return tuple(found)

    def settings(self, cell: Cell) -> TrainSettings:
        """What ``cell`` is trained with, but for its threads.

        Raises:
            UsageError: settings that cannot be.
        """
        return TrainSettings(
            method=cell.arm.method, seed=cell.seed, **cell.ledger.length, **self.own(cell)
        )

    def own(self, cell: Cell) -> dict[str, Any]:
        """The settings that all runs share, but for those that the arm of ``cell`` has its own."""
        return {**self.alike, **cell.arm.settings}

    @property
    def command(self) -> tuple[str, ...]:
        """What to type for the same comparison, without flags that are at their defaults.

        Nothing where arms have settings of their own, which no flag says.
        """
        if not all(arm.plain for arm in self.arms):
            return ()
        words = ["undrift", "compare", self.data]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if field.name == "arms":
                words += ["--methods", ",".join(arm.name for arm in self.arms)]
                continue
            name = _FLAGS.get(field.name, field.name).replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{name}")
            else:
                words += [f"--{name}", ",".join(value) if isinstance(value, tuple) else str(value)]
        return tuple(words)

    @property
    def alike(self) -> dict[str, Any]:
        """The settings that all runs share, unless an arm has its own."""
        return {
            name: getattr(self, name)
            for name in (
                "size",
                "channels",
                "label_column",
                "batch_size",
                "flip",
                "conditional",
                "holdout",
                "evaluate_every",
                "evaluate_samples",
                "bare",
                "device",
            )
        }
