"""Euler's method in ``(x / alpha, sigma / alpha)``: deterministic DDIM on every schedule.

Holding ``D = E[x_0 | x_t]`` still over the step solves the equation of ``sampling/solver.py``:

    x_s = alpha_s D + sigma_s eps,    eps = (x_t - alpha_t D) / sigma_t              (1)

Reference: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12 with eta = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Memoryless


def carry(x: Tensor, x0: Tensor, level_t: Level, level_s: Level) -> Tensor:
    """Carry ``x`` from ``level_t`` to ``level_s`` as if the denoised image were ``x0`` all the way.

    Equation (1), sorted by what is known: at alpha_t = 0 it reads
    ``alpha_s D + sigma_s x / sigma_t``, and at sigma_s = 0 it is ``alpha_s D`` exactly.

    Args:
        x: state at ``level_t``, shape (B, ...).
        x0: denoised images, same shape.
        level_t: where the step begins; scalars, sigma > 0.
        level_s: where it ends; scalars.
    """
    shrink = level_s.sigma / level_t.sigma
    return shrink * x + (level_s.alpha - shrink * level_t.alpha) * x0  # (1)


@dataclass(frozen=True)
class Euler(Memoryless):
    """First order, one evaluation per step; the same thing as DDIM with eta = 0."""

    facts = Facts("euler", order=1, order_as_started=1)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        return carry(x, prediction.x0, level_t, level_s), None, prediction
