"""The discrete-time view: the same path as a Markov chain on chosen times.

Definition: for levels s before t (s nearer to data), with ``k = SNR_t / SNR_s`` the share of t's
noise that was there at s already,

    q(x_t | x_0)      = N(alpha_t x_0,  sigma_t^2 I),                                            (1)
    q(x_t | x_s)      = N((alpha_t / alpha_s) x_s,  sigma_t^2 (1 - k) I),                        (2)
    q(x_s | x_t, x_0) = N(alpha_s (1 - k) x_0 + k (alpha_s / alpha_t) x_t,  sigma_s^2 (1 - k) I) (3)

The reverse step of a trained chain puts the denoiser's x_0 into the mean of (3). Its variance is
fixed "small", that of (3) - right for data at a single point - or fixed "large", that of (2) -
right for data that is itself N(0, I) on a variance-preserving path. DDPM's discrete betas are
``beta_k = 1 - (alpha_k / alpha_{k-1})^2``, and (3) is its equations 6-7.

Every formula below holds at sigma_s = 0 and at alpha_t = 0: nothing is divided by either.

References: Ho et al. 2020, equations 2-7; Kingma et al. 2021, appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from undrift.diffusion.schedule import Level, NoiseSchedule, per_sample
from undrift.errors import UsageError

Variance = Literal["small", "large"]


@dataclass(frozen=True)
class Gaussian:
    """An isotropic Gaussian per sample.

    Attributes:
        mean: (B, ...).
        variance: per element, broadcastable to the mean.
    """

    mean: Tensor
    variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return the draw that standard normal ``noise`` of the mean's shape stands for."""
        return self.mean + torch.sqrt(self.variance) * noise


def marginal(x0: Tensor, level: Level) -> Gaussian:
    """Return ``q(x_t | x_0)`` (1) for x0 (B, ...) at a level of shape () or (B,)."""
    level = level.like(x0)
    return Gaussian(level.alpha * x0, level.sigma**2)


def transition(x_s: Tensor, level_s: Level, level_t: Level) -> Gaussian:
    """Return ``q(x_t | x_s)`` (2): one step, or any stretch, of the forward chain.

    Args:
        x_s: sample (B, ...) at the earlier level.
        level_s: earlier level, nearer to data.
        level_t: later level.
    """
    variance = level_t.sigma**2 * _fresh_share(level_s, level_t)
    return Gaussian(per_sample(level_t.alpha / level_s.alpha, x_s) * x_s, per_sample(variance, x_s))


def posterior(
    x_t: Tensor, x0: Tensor, level_t: Level, level_s: Level, variance: Variance = "small"
) -> Gaussian:
    """Return ``q(x_s | x_t, x_0)`` (3), one step of the reverse chain.

    Args:
        x_t: sample (B, ...) at the later level.
        x0: data of x_t's shape: the true one, or a denoiser's estimate.
        level_t: later level, with sigma_t > 0.
        level_s: earlier level, nearer to data.
        variance: "small" is that of (3); "large" that of (2), except for the step that ends at
            sigma = 0, which adds no noise.

    Raises:
        UsageError: for another variance.
    """
    if variance not in ("small", "large"):
        raise UsageError(f'got variance {variance!r}; give "small" or "large"')
    fresh = _fresh_share(level_s, level_t)
    kept = level_t.alpha * level_s.sigma**2 / (level_s.alpha * level_t.sigma**2)
    mean = per_sample(level_s.alpha * fresh, x0) * x0 + per_sample(kept, x_t) * x_t
    small = level_s.sigma**2 * fresh
    large = torch.where(level_s.sigma > 0, level_t.sigma**2 * fresh, small)
    return Gaussian(mean, per_sample(small if variance == "small" else large, x_t))


@dataclass(frozen=True)
class MarkovChain:
    """A path cut into equal steps of time: DDPM's chain.

    Attributes:
        schedule: the path.
        steps: number of steps N; the chain visits ``t_k = k / N``, k = 0 ... N.
    """

    schedule: NoiseSchedule
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"a Markov chain got steps={self.steps}; give at least 1")

    def level(self, k: int) -> Level:
        """Return the level after k steps, k = 0 (data) ... N (noise)."""
        return self.schedule(torch.tensor(k / self.steps, dtype=torch.float64, device="cpu"))

    @property
    def betas(self) -> Tensor:
        """DDPM's ``beta_1 ... beta_N``, (N,) float64: each step's loss of signal variance."""
        t = torch.arange(self.steps + 1, dtype=torch.float64, device="cpu") / self.steps
        alpha = self.schedule(t).alpha
        return 1 - (alpha[1:] / alpha[:-1]) ** 2

    def forward(self, x0: Tensor, noise: Tensor) -> Tensor:
        """Follow the chain from data to noise, one transition (2) at a time.

        Args:
            x0: data (B, ...).
            noise: standard normal (N, B, ...), one per step.

        Returns:
            The trajectory (N + 1, B, ...), data first.
        """
        path = [x0]
        for k in range(1, self.steps + 1):
            step = transition(path[-1], self.level(k - 1), self.level(k))
            path.append(step.sample(noise[k - 1]))
        return torch.stack(path)


def _fresh_share(level_s: Level, level_t: Level) -> Tensor:
    """1 - k: the share of t's noise that came after s, without cancellation for close levels."""
    return -torch.expm1(level_t.log_snr - level_s.log_snr)
