"""The sub-variance-preserving path: DDPM's signal, with less noise than preserves the variance.

Definition: with the rate ``beta(t)`` and its integral B of `VPLinear`,

    alpha = exp(-B / 2),     sigma = 1 - exp(-B) = 1 - alpha^2,                                  (1)

the square of the variance-preserving sigma, so that ``alpha^2 + sigma^2 < 1`` inside. Its SDE has
``g^2 = beta (1 - exp(-2 B))``. Since ``r = sigma / alpha = 2 sinh(B / 2)``, it passes the log-SNR
``lambda`` at the time at which the variance-preserving path passes

    lambda_vp = lambda / 2 - asinh(r / 2),        r = exp(-lambda / 2).                          (2)

Reference: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential
Equations", equations 12 and 29.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from undrift.diffusion.schedule import Level, VPLinear
from undrift.errors import UsageError


@dataclass(frozen=True)
class SubVP:
    """The path (1), with rate ``beta(t) = beta_min + (beta_max - beta_min) t``.

    Attributes:
        beta_min: rate at t = 0, positive.
        beta_max: rate at t = 1, at least ``beta_min``.
    """

    kind: Literal["sub_vp"] = field(default="sub_vp", kw_only=True)
    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise UsageError(
                f"sub_vp got beta_min={self.beta_min}, beta_max={self.beta_max}; "
                "give 0 < beta_min <= beta_max"
            )

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        preserving = self._preserving(t)
        sigma = preserving.sigma**2  # (1), and as precise near data as its root
        sigma_dot = -2 * preserving.alpha * preserving.alpha_dot
        return Level(preserving.t, preserving.alpha, sigma, preserving.alpha_dot, sigma_dot)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        log_snr = torch.as_tensor(log_snr, dtype=torch.float64)
        half_ratio = torch.exp(-log_snr / 2) / 2
        return self._preserving.time_at(log_snr / 2 - torch.asinh(half_ratio))  # (2)

    @property
    def _preserving(self) -> VPLinear:
        """The variance-preserving path with the same alpha."""
        return VPLinear(self.beta_min, self.beta_max)
