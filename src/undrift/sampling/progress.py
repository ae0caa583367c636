"""Progress of a sampler, reported after every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class StepDone:
    """One step of `integrate` that has just been made.

    Attributes:
        done: steps made.
        total: steps in all.
        x0: the clean images as estimated at this point, in the model's space, (B, ...): the
            denoiser's prediction at the beginning of the step, and after a step that ends at
            sigma = 0 the state itself. None as long as a grid has only risen.
    """

    done: int
    total: int
    x0: Tensor | None


OnStep = Callable[[StepDone], None]
"""``on_progress(step)``, after every step; raising from it cancels the sampling."""
