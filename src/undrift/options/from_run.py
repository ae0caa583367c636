"""Options of commands that train on from a finished run: its length and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_BATCH, MOST_SAMPLES, MOST_TRAINING_STEPS
from undrift.options.options import Options, PathLike, at_least
from undrift.options.train import TrainOptions, check_threads, seconds


@dataclass(frozen=True, kw_only=True)
class FromRunOptions(Options):
    """How long a model is trained that begins with a finished run, and where.

    Attributes:
        budget: wall-clock time from the start of the probe to the last step: 60s, 30m, 2h.
        images: real images to train on in all; excludes budget. Without both, half as many as the
            finished run was trained on.
        batch_size: images in the global batch; that of the finished run by default.
        learning_rate: peak of the learning-rate schedule.
        seed: random seed.
        checkpoint_every: steps between checkpoints; about every 30 seconds by default.
        evaluate_every: steps between evaluations: samples against the validation images; the best
            weights are saved beside the last ones. None makes none.
        evaluate_samples: samples of each of these evaluations.
        bare: end with the pipeline and a grid: no samples, first metrics and report.
        device: where to train.
        threads: CPU threads; affects bitwise reproducibility, so it is stored.
        out: the run directory; a new runs/DATA-DATE-N by default.
    """

    budget: str | None = None
    images: int | None = None
    batch_size: int | None = None
    learning_rate: Annotated[
        float | None, tyro.conf.arg(name="lr", metavar="X", help_behavior_hint="")
    ] = None
    seed: int = 0
    checkpoint_every: int | None = None
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    bare: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: PathLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("images", self.images, 1, MOST_TRAINING_STEPS * MOST_BATCH)
        at_least("batch_size", self.batch_size, 1, MOST_BATCH)
        at_least("checkpoint_every", self.checkpoint_every, 1, MOST_TRAINING_STEPS)
        at_least("evaluate_every", self.evaluate_every, 1, MOST_TRAINING_STEPS)
        at_least("evaluate_samples", self.evaluate_samples, 1, MOST_SAMPLES)
        at_least("seed", self.seed, 0)
        at_least("threads", self.threads, 1)
        check_threads(self.threads)
        if self.budget is not None and self.images is not None:
            raise UsageError(
                f"{named('budget')} and {named('images')} exclude each other; give one of them"
            )
        if self.budget is not None:
            seconds(self.budget)
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UsageError(
                f"{named('learning_rate')} {self.learning_rate}: wanted a positive finite number"
            )

    def training(self) -> TrainOptions:
        """The options of the training loop."""
        return TrainOptions(threads=self.threads, bare=self.bare, device=self.device)
