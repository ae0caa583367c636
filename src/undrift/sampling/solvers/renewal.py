"""How much of its noise a stochastic step keeps, and how much it draws anew.

A step ends at ``x_s = alpha_s D + kept eps + fresh z`` with ``kept^2 + fresh^2 = sigma_s^2``: the
noise ``eps`` that the denoiser made out and new noise ``z``. With ``k = SNR_t / SNR_s``, the share
of the noise at t that was there at s already, and ``h = -log(k) / 2``, two laws are in use:

    ancestral   fresh^2 = eta^2 sigma_s^2 (1 - k)                                     (1)
    diffused    fresh^2 = sigma_s^2 (1 - k^eta),      kept = sigma_s exp(-eta h)      (2)

(1) is DDIM's: eta = 1 is the chain's own posterior. (2) is exact for the SDE whose noise has
``2 eta d lambda`` of variance per half log-SNR lambda, on the trajectory of a constant D. They
agree at eta = 0, no new noise, and at eta = 1; between them, for short steps, (2)'s eta is (1)'s
squared.

References: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", eq. 16, for (1); Lu et
al. 2022, "DPM-Solver++", eq. 18 (eta = 1), and k-diffusion's samplers (any eta) for (2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from undrift.diffusion import Level
from undrift.errors import UsageError
from undrift.sampling.solver import Draw


@dataclass(frozen=True)
class Renewal:
    """What becomes of the noise in one step.

    Attributes:
        level_t: where the step begins.
        level_s: where it ends.
        kept: ``level_s`` with the old noise alone as its sigma.
        fresh: standard deviation of the new noise, of shape ().
    """

    level_t: Level
    level_s: Level
    kept: Level
    fresh: Tensor

    def onto(self, x: Tensor, draw: Draw, s_noise: float) -> Tensor:
        """Add the new noise, ``s_noise`` times as much as is right; no draw where there is none."""
        if self.fresh == 0:
            return x
        return x + s_noise * self.fresh * draw.brownian(self.level_t, self.level_s)


def ancestral(level_t: Level, level_s: Level, eta: float) -> Renewal:
    """Return the law (1) for a step between two scalar levels and eta in [0, 1]."""
    share = _fresh_share(level_t, level_s)
    kept = level_s.sigma * torch.sqrt(1 - eta**2 * share)
    fresh = eta * level_s.sigma * torch.sqrt(share)  # (1)
    return Renewal(level_t, level_s, replace(level_s, sigma=kept), fresh)


def diffused(level_t: Level, level_s: Level, eta: float) -> Renewal:
    """Return the law (2) for a step between two scalar levels and eta of at least 0."""
    if eta == 0:
        return Renewal(level_t, level_s, level_s, torch.zeros_like(level_s.sigma))
    gap = eta * (level_t.log_snr - level_s.log_snr)  # log k^eta
    kept = level_s.sigma * torch.exp(gap / 2)  # (2)
    fresh = level_s.sigma * torch.sqrt(-torch.expm1(gap))
    return Renewal(level_t, level_s, replace(level_s, sigma=kept), fresh)


def check_noise(rule: str, eta: float, s_noise: float, most: float = math.inf) -> None:
    """Refuse settings that no step can have.

    Raises:
        UsageError: for an eta below 0 or above ``most``, or an s_noise below 0.
    """
    if not (0 <= eta <= most and math.isfinite(eta)):
        bound = f"between 0 and {most:g}" if math.isfinite(most) else "of at least 0"
        raise UsageError(f"{rule} eta {eta}: give a number {bound} (0 adds no noise, 1 is usual)")
    if not 0 <= s_noise < math.inf:
        raise UsageError(f"{rule} s_noise {s_noise}: give a number of at least 0 (1 is exact)")


def _fresh_share(level_t: Level, level_s: Level) -> Tensor:
    """1 - k, without cancellation for close levels; 1 where alpha_t or sigma_s is 0."""
    return -torch.expm1(level_t.log_snr - level_s.log_snr)
