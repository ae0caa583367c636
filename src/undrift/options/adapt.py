"""Options of ``undrift adapt``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_BATCH, MOST_TRAINING_STEPS
from undrift.options.maps import map_words
from undrift.options.options import Options, PathLike, at_least
from undrift.options.train import TrainOptions, check_threads, seconds

MOST_RANK = 1024


@dataclass(frozen=True, kw_only=True)
class AdaptOptions(Options):
    """How an adapter of a trained diffusion model is made.

    Attributes:
        condition: maps that a control branch adds, as train --map takes them: edges, lowres:4, or
            mask for one that comes with each image. Excludes lora.
        lora: rank of a low-rank adapter, such as 8, for the look of DATA. Excludes condition.
        budget: wall-clock time from the start of the probe to the last step: 60s, 30m, 2h.
        images: real images to train on in all; excludes budget. Without both, half as many as the
            base was trained on.
        batch_size: images in the global batch; the base's by default, of a control branch at least
            64.
        learning_rate: peak of the learning-rate schedule.
        seed: random seed.
        checkpoint_every: steps between checkpoints; about every 30 seconds by default.
        bare: end with the pipeline and a grid: no samples, first metrics and report.
        device: where to train.
        threads: CPU threads; affects bitwise reproducibility, so it is stored.
        out: the run directory; a new runs/DATA-DATE-N by default.
    """

    condition: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    lora: int | None = None
    budget: str | None = None
    images: int | None = None
    batch_size: int | None = None
    learning_rate: Annotated[
        float | None, tyro.conf.arg(name="lr", metavar="X", help_behavior_hint="")
    ] = None
    seed: int = 0
    checkpoint_every: int | None = None
    bare: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: PathLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "condition", map_words(self.condition, "condition"))
        at_least("lora", self.lora, 1, MOST_RANK)
        at_least("images", self.images, 1, MOST_TRAINING_STEPS * MOST_BATCH)
        at_least("batch_size", self.batch_size, 1, MOST_BATCH)
        at_least("checkpoint_every", self.checkpoint_every, 1, MOST_TRAINING_STEPS)
        at_least("seed", self.seed, 0)
        at_least("threads", self.threads, 1)
        check_threads(self.threads)
        if bool(self.condition) == (self.lora is not None):
            raise UsageError(
                f"adapt: give {named('condition')}, such as edges, or {named('lora')}, such as 8"
            )
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


@dataclass(frozen=True, kw_only=True)
class AdaptSources(Options):
    """The base and the images, named by their paths.

    Attributes:
        target: a finished run of a diffusion model.
        data: images to train on, as train takes them; the run's own by default.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
