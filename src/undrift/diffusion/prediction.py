"""One prediction, all its views.

Definition: a denoiser's estimate ``x_0`` of ``E[x_0 | x_t]`` fixes, through
``x_t = alpha x_0 + sigma eps``, every other quantity that the literature predicts:

    epsilon  = (x_t - alpha x_0) / sigma           E[eps | x_t]                                  (1)
    score    = -epsilon / sigma                    grad log p_t(x_t)      (Tweedie's formula)    (2)
    v        = alpha epsilon - sigma x_0                                  (Salimans & Ho 2022)   (3)
    velocity = alpha_dot x_0 + sigma_dot epsilon   dx/dt of the probability-flow ODE             (4)

At alpha = 0 all of them are defined. At sigma = 0 the sample is the data and independent of the
noise, whose mean is 0, so ``epsilon`` is 0 there, and ``velocity`` follows wherever sigma_dot is
finite (ve, flow, sub_vp). The score, and the velocity of a variance-preserving path, are not
functions of x_0 at sigma = 0: they are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion.schedule import Level


@dataclass(frozen=True)
class Prediction:
    """What a denoiser says of a batch.

    Attributes:
        x_t: noisy batch (B, ...), float32 or wider.
        level: its noise levels, of shape () or (B,).
        x0: estimate of ``E[x_0 | x_t]``, of x_t's shape and dtype.
    """

    x_t: Tensor
    level: Level
    x0: Tensor

    @property
    def epsilon(self) -> Tensor:
        """Estimate of the noise (1); 0 at sigma = 0."""
        level = self.level.like(self.x_t)
        noisy = level.sigma > 0
        scale = torch.where(noisy, level.sigma, torch.ones_like(level.sigma))
        noise = (self.x_t - level.alpha * self.x0) / scale
        return torch.where(noisy, noise, torch.zeros_like(noise))

    @property
    def score(self) -> Tensor:
        """Gradient of the log-density of ``x_t`` (2); NaN at sigma = 0."""
        return -self.epsilon / self.level.like(self.x_t).sigma

    @property
    def v(self) -> Tensor:
        """The v of Salimans & Ho (3)."""
        level = self.level.like(self.x_t)
        return level.alpha * self.epsilon - level.sigma * self.x0

    @property
    def velocity(self) -> Tensor:
        """The probability-flow ODE's dx/dt (4); NaN at sigma = 0 where sigma_dot is infinite."""
        level = self.level.like(self.x_t)
        return level.alpha_dot * self.x0 + level.sigma_dot * self.epsilon
