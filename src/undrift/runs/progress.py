"""How far a run is, for code that watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """State of a run after an optimiser update.

    Attributes:
        images: real images seen so far, a repeated one counted each time.
        step: updates made so far.
        steps: updates of the whole run.
        loss: mean training loss over the updates since it was last averaged, about every second;
            None before the first.
        seconds: wall clock since this process began to train.
    """

    images: int
    step: int
    steps: int
    loss: float | None
    seconds: float


OnTraining = Callable[[TrainingProgress], None]
"""Called after every update; raising from it stops the run, which the same call resumes."""
