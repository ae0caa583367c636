"""Options of ``undrift tune-sampler``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_SAMPLES
from undrift.options.options import Options, PathLike, at_least, finite, once

FEWEST, MOST_STEPS = 32, 50


@dataclass(frozen=True, kw_only=True)
class TuningOptions(Options):
    """Which few-step samplers are optimised, and for what.

    Attributes:
        steps: numbers of steps, each its own sampler, such as 5,6,8,10.
        samples: images to tune on: half to fit, a quarter to choose by, a quarter to measure.
        seed: seed of their initial noise; no image of theirs is ever drawn by sample or evaluate.
        guidance: guidance scale to tune at; the model's own by default.
        aim: fit the last step so that images are distributed like real ones, where these are at
            hand, or let the fine solution alone be the aim.
        reference: real images to fit the last step to; by default those that a run was trained on.
        device: where to compute.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
    """

    steps: Annotated[Sequence[int], tyro.conf.arg(metavar="N,N,...")] = field(
        default=(5, 6, 8, 10), kw_only=False
    )
    samples: int = 128
    seed: int = 0
    guidance: float | None = None
    aim: Literal["images", "solution"] = "images"
    reference: PathLike | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: PathLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.steps:
            raise UsageError(
                f"{named('steps')}: wanted one number of steps or more, such as 5,6,8,10"
            )
        for count in self.steps:
            if not 1 <= count <= MOST_STEPS:
                raise UsageError(f"{named('steps')} {count}: wanted 1 to {MOST_STEPS}")
        once("steps", self.steps, self.steps)
        if not FEWEST <= self.samples <= MOST_SAMPLES:
            raise UsageError(
                f"{named('samples')} {self.samples}: wanted a whole number from {FEWEST} to "
                f"{MOST_SAMPLES:,}"
            )
        at_least("seed", self.seed, 0)
        finite("guidance", self.guidance)
        if self.reference is not None and self.aim == "solution":
            raise UsageError(
                f"{named('reference')} {self.reference} with {named('aim')} solution, which needs "
                "no real images: leave one of them out"
            )


@dataclass(frozen=True, kw_only=True)
class TuningSources(Options):
    """The model, named by its path.

    Attributes:
        target: a finished run, or a folder that save_pretrained wrote.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
