"""Options of ``undrift distill``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError, shown
from undrift.limits import MOST_BATCH, MOST_STUDENT_STEPS, MOST_TRAINING_STEPS
from undrift.options.options import Options, PathLike, at_least
from undrift.options.train import TrainOptions, check_threads, seconds

_GUIDANCE = re.compile(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, kw_only=True)
class DistillOptions(Options):
    """How a student is made of a trained diffusion model.

    Attributes:
        method: how to distil: consistency, flow-map, adversarial-flow or distribution-matching.
        steps: passes of the network that an image takes: 1, 2 or 4, 2 by default; 1 of
            adversarial-flow, any number up to 64 of flow-map.
        budget: wall-clock time from the start of the probe to the last step: 60s, 30m, 2h.
        images: real images to train on in all; excludes budget. Without both, half as many as the
            teacher was trained on.
        guidance: guidance scales to distil, as 1:4, of which samples may then take any; or one.
        batch_size: images in the global batch; the teacher's by default.
        learning_rate: peak of the learning-rate schedule; by default 0.3 times the teacher's.
        seed: random seed.
        checkpoint_every: steps between checkpoints; about every 30 seconds by default.
        bare: end with the pipeline and a grid: no samples, first metrics and report.
        device: where to train.
        threads: CPU threads; affects bitwise reproducibility, so it is stored.
        out: the run directory; a new runs/DATA-DATE-N by default.
    """

    method: str = "consistency"
    steps: int | None = None
    budget: str | None = None
    images: int | None = None
    guidance: str | None = None
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
        at_least("steps", self.steps, 1, MOST_STUDENT_STEPS)
        at_least("images", self.images, 1, MOST_TRAINING_STEPS * MOST_BATCH)
        at_least("batch_size", self.batch_size, 1, MOST_BATCH)
        at_least("checkpoint_every", self.checkpoint_every, 1, MOST_TRAINING_STEPS)
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
        self.scales  # noqa: B018 - refuses what is no scale

    @property
    def scales(self) -> tuple[float, float] | None:
        """Smallest and largest guidance scale; None without guidance.

        Raises:
            UsageError: for anything but one scale or two that rise.
        """
        if self.guidance is None:
            return None
        match = _GUIDANCE.fullmatch(self.guidance.strip())
        low = float(match[1]) if match else 1.0
        high = float(match[2] or match[1]) if match else 0.0
        if low > high:
            raise UsageError(
                f"{named('guidance')} {shown(self.guidance)}: wanted a scale as 2, or two that "
                "rise, as 1:4"
            )
        return low, high

    def training(self) -> TrainOptions:
        """The options of the training loop."""
        return TrainOptions(threads=self.threads, bare=self.bare, device=self.device)


@dataclass(frozen=True, kw_only=True)
class DistillSources(Options):
    """The teacher, named by its path.

    Attributes:
        target: a finished run of a diffusion model.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
