"""Options of ``undrift distill``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import tyro

from undrift.advice import named
from undrift.errors import UsageError, shown
from undrift.limits import MOST_STUDENT_STEPS
from undrift.options.from_run import FromRunOptions
from undrift.options.options import Options, at_least

_GUIDANCE = re.compile(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, kw_only=True)
class DistillOptions(FromRunOptions):
    """How a student is made of a trained diffusion model.

    Attributes:
        method: how to distil: consistency, flow-map, mean-flow, adversarial-flow,
            distribution-matching, reflow or progressive.
        steps: passes of the network that an image takes: 1, 2 or 4, 2 by default; 1 of
            adversarial-flow, any number up to 64 of flow-map, mean-flow and
            reflow.
        images: real images to train on in all; excludes budget. Without both, half as many as the
            teacher was trained on.
        guidance: guidance scales to distil, as 1:4, of which samples may then take any; or one.
        batch_size: images in the global batch; the teacher's by default.
        learning_rate: peak of the learning-rate schedule; by default 0.3 times the teacher's.
    """

    method: str = "consistency"
    steps: int | None = None
    guidance: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("steps", self.steps, 1, MOST_STUDENT_STEPS)
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


@dataclass(frozen=True, kw_only=True)
class DistillSources(Options):
    """The teacher, named by its path.

    Attributes:
        target: a finished run of a diffusion model.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
