"""Heun's method, in the coordinates ``(x / sigma, alpha / sigma)``.

With ``z = x / sigma`` and ``u = alpha / sigma`` the path's equation reads

    dz / du = D(x, t)                                                                 (1)

whose right side is bounded by the data. Pure noise, alpha = 0, is the ordinary point u = 0, so the
explicit trapezoid keeps its second order from there on under every schedule:

    z_s = z_t + (u_s - u_t) (D_t + D_s) / 2                                           (2)
    x_s = (sigma_s / sigma_t) x_t + (alpha_s - sigma_s alpha_t / sigma_t) (D_t + D_s) / 2

with D_s evaluated where Euler's step lands. As in Karras et al. 2022, "Elucidating the Design Space
of Diffusion-Based Generative Models", algorithm 1, the step to sigma = 0 (u infinite) is Euler's.

That algorithm takes the same trapezoid in ``(x / alpha, sigma / alpha)``, where alpha = 0 lies at
infinity: `HeunEDM`. Both are of second order. On grids that are even in sigma^(1/rho) or in the
log-SNR, (2) is the more accurate by far at few steps (ten times at 4, on a mixture's exact flow);
on grids that are even in t, EDM's is, by two or three times.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Memoryless
from undrift.sampling.solvers.euler import carry


@dataclass(frozen=True)
class Heun(Memoryless):
    """Second order, two evaluations per step, one in the last."""

    facts = Facts("heun", order=2, order_as_started=2, evaluations_per_step=2)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """One step of equation (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        x_s = carry(x, prediction.x0, level_t, level_s)
        if level_s.sigma == 0:
            return x_s, None, prediction
        landed = denoise(x_s, level_s.t)
        return carry(x, (prediction.x0 + landed.x0) / 2, level_t, level_s), None, prediction  # (2)


@dataclass(frozen=True)
class HeunEDM(Memoryless):
    """The trapezoid in ``(x / alpha, sigma / alpha)``: EDM's algorithm 1, k-diffusion's ``heun``.

        x_s = alpha_s [D_t + r_t eps_t + (r_s - r_t) (eps_t + eps_s) / 2]                 (3)

    with ``r = sigma / alpha`` and ``eps = (x - alpha D) / sigma`` the predicted noise. From
    alpha = 0, where r is infinite, a step is `Heun`'s.
    """

    facts = Facts("heun_edm", order=2, order_as_started=2, evaluations_per_step=2)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """One step of equation (3); see `Solver.step`."""
        if level_t.alpha == 0:
            return Heun().step(denoise, x, level_t, level_s, memory, draw)
        prediction = denoise(x, level_t.t)
        x_s = carry(x, prediction.x0, level_t, level_s)
        if level_s.sigma == 0:
            return x_s, None, prediction
        landed = denoise(x_s, level_s.t)
        turn = landed.epsilon - prediction.epsilon
        # Euler's step took eps_t all the way: half of the difference is missing.
        length = level_s.sigma - level_s.alpha * level_t.ratio
        return x_s + length / 2 * turn, None, prediction  # (3)
