"""The analytic first step: one network evaluation less, where the output is known.

At the noise that sampling begins with, ``x_t`` is almost independent of the image: all that matters
of the data is its mean m and standard deviation s, and for Gaussian data of those

    D = m + alpha s^2 / (alpha^2 s^2 + sigma^2) (x_t - alpha m)                           (1)

which is the mean alone at alpha = 0. With s = 0 and m = 0 it is the step "along x / sigma" of
Dockhorn, Vahdat and Kreis 2022, "GENIE: Higher-Order Denoising Diffusion Solvers", and of later
few-step work; (1) costs the same and is right to the second order in alpha / sigma.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule, Prediction
from undrift.diffusion.schedule import per_sample
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise


class AnalyticFirstStep:
    """A denoiser with a closed form at the first time of a grid; it calls another at all others.

    It goes around any denoiser and under any solver, whose first evaluation it saves. A grid that
    rises back to its first time saves that one too.

    Args:
        denoise: the denoiser for all other times.
        schedule: the path.
        first: the grid's first time.
        mean: of the data in the model's space, broadcastable to one image; 0 where the codec
            standardises.
        std: standard deviation of the data, at least 0; 1 where the codec standardises.

    Raises:
        UsageError: for a first time outside (0, 1] or a negative std.
    """

    def __init__(
        self,
        denoise: BoundDenoise,
        schedule: NoiseSchedule,
        first: Tensor | float,
        mean: Tensor | float = 0.0,
        std: float = 1.0,
    ) -> None:
        if not 0 < float(first) <= 1:
            raise UsageError(f"analytic first step at t = {float(first):g}: give a time in (0, 1]")
        if not 0 <= std < math.inf:
            raise UsageError(f"analytic first step with std {std}: give a number of at least 0")
        self.denoise = denoise
        self.schedule = schedule
        self.first = float(first)
        self.mean = mean
        self.std = std

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """Return (1) at the first time, and the denoiser's prediction at any other."""
        if not bool((t == self.first).all()):
            return self.denoise(x_t, t)
        level = self.schedule(t)
        variance = level.alpha**2 * self.std**2 + level.sigma**2
        gain = per_sample(level.alpha * self.std**2 / variance, x_t)
        mean = torch.as_tensor(self.mean, dtype=x_t.dtype, device=x_t.device)
        x0 = mean + gain * (x_t - per_sample(level.alpha, x_t) * mean)  # (1)
        return Prediction(x_t, level, x0)
