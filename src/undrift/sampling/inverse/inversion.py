"""From an image to the noise that a deterministic sampler would have drawn it from.

Euler's step of the probability-flow equation from t down to s is

    x_s = alpha_s D + sigma_s eps,    eps = (x_t - alpha_t D) / sigma_t,    D = D(x_t)      (1)

It is inverted exactly, whatever its length: x_t is the fixed point of either of

    x_t = alpha_t x_s / alpha_s + (sigma_t - alpha_t sigma_s / alpha_s) eps(x_t)          (2)
    x_t = alpha_t D(x_t) + (sigma_t / sigma_s) (x_s - alpha_s D(x_t))                     (3)

Both follow from (1). For Gaussian data of deviation d, with r = sigma / alpha, an iteration reduces
the error by (1 - r_s / r_t) r_t^2 / (d^2 + r_t^2) in (2), which serves little noise, and by
(r_t / r_s - 1) d^2 / (d^2 + r_t^2) in (3), which serves much. Between modes, where D changes fast,
plain iterations alternate around the fixed point ever wider, since dD / dx_t is a covariance and
so not negative: shorter ones, x_t + omega (f(x_t) - x_t), converge there as well.

References: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", section 4.3, for the
inversion; Pan et al. 2023, "Effective Real Image Editing with Accelerated Iterative Diffusion
Inversion", for fixed points in place of the step's own value at x_s.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule
from undrift.diffusion.schedule import per_sample
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise
from undrift.sampling.solvers.euler import carry

MOST_ITERATIONS = 50
"""Evaluations of a step, at most."""

TOLERANCE = 1e-5
"""Change of x_t, in units of its spread, from which a fixed point stands."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """States from which a sampler reaches given images.

    Attributes:
        x: the states at the first time of the grid, (B, ...).
        error: how far Euler's steps from ``x`` end from each image, root mean square, in units of
            the data; large where the fixed points did not converge.
    """

    x: Tensor
    error: Tensor


def invert(
    denoise: BoundDenoise,
    x0: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    *,
    deviation: float = 1.0,
) -> Inverted:
    """Carry images back along a grid that `undrift.sampling.Euler` would carry noise down.

    Args:
        denoise: the model, its condition bound.
        x0: images in the model's space, (B, ...).
        times: falling, float64, the last exactly 0, as for `undrift.sampling.integrate`.
        schedule: the path.
        deviation: of the data.

    Raises:
        UsageError: for a grid that does not end in data.
    """
    if float(times[-1]) != 0:
        raise UsageError(f"inversion: the grid ends at {float(times[-1]):g}; wanted 0, the data")
    x = x0
    levels = [schedule(t) for t in times.cpu()]
    for level_t, level_s in reversed([*pairwise(levels)]):
        x = _undo(denoise, x, level_t, level_s, deviation)
    again = x
    for level_t, level_s in pairwise(levels):
        again = carry(again, denoise(again, level_t.t).x0.to(x.dtype), level_t, level_s)
    return Inverted(x, (again - x0).flatten(1).double().square().mean(1).sqrt())


def _undo(
    denoise: BoundDenoise, x_s: Tensor, level_t: Level, level_s: Level, deviation: float
) -> Tensor:
    """The state at t whose step leads to ``x_s``."""
    t, s = level_t.like(x_s), level_s.like(x_s)
    noisy = bool(level_s.sigma > 0) and bool(level_t.ratio > 1.5 * deviation)
    x = x_s * (t.sigma / s.sigma) if noisy else x_s * (t.alpha / s.alpha)
    length, before = torch.ones(len(x), dtype=x.dtype, device=x.device), None
    for _ in range(MOST_ITERATIONS):
        x0 = denoise(x, level_t.t).x0.to(x_s.dtype)
        if noisy:
            found = t.alpha * x0 + (t.sigma / s.sigma) * (x_s - s.alpha * x0)  # (3)
        else:
            epsilon = (x - t.alpha * x0) / t.sigma
            scale = t.alpha / s.alpha
            found = scale * x_s + (t.sigma - scale * s.sigma) * epsilon  # (2)
        change = (found - x).flatten(1).square().mean(1).sqrt()
        if before is not None:
            length = torch.where(change > 0.9 * before, length / 2, length)
        x, before = x + per_sample(length, x) * (found - x), change
        spread = (level_t.alpha**2 * deviation**2 + level_t.sigma**2) ** 0.5
        if bool((change < TOLERANCE * float(spread)).all()):
            break
    return x


def near(x: Tensor, noise: Tensor, sigma: float, share: float) -> Tensor:
    """States near ``x`` (B, ...): on the sphere between it and new noise.

    Args:
        x: at the noisy end of a grid.
        noise: standard normal, of the same shape.
        sigma: of that level.
        share: of new noise, from 0 (``x`` itself) to 1 (nothing is left of it).
    """
    return (1 - share**2) ** 0.5 * x + share * sigma * noise
