"""How much an error counts at each noise level: a weight of the squared error in x_0.

Definition: the weight ``w(lambda)`` of ``mean (D - x_0)^2`` in the loss, a function of the log-SNR.
An error in what the network predicts is ``c_out^-1`` times that in x_0 (parameterization.py), so

                  w, for x_0           for epsilon           for v (alpha^2 + sigma^2 = 1)
    unit          1                    1 / SNR               1 / (SNR + 1)
    snr           SNR                  1                     SNR / (SNR + 1)
    min_snr       min(SNR, gamma)      min(SNR, gamma)/SNR   min(SNR, gamma) / (SNR + 1)
    edm           SNR + 1 / s_d^2      (and 1 for edm)

where EDM's own form is ``(r^2 + s_d^2) / (r s_d)^2``, with ``r = sigma / alpha`` and ``s_d`` the
data's standard deviation.

References: Ho et al. 2020, equation 14 (snr); Hang et al. 2023 (min_snr); Karras et al. 2022,
table 1 (edm).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from undrift.errors import UsageError


@dataclass(frozen=True)
class Unit:
    """Every level's x_0 error counts the same."""

    kind: Literal["unit"] = field(default="unit", kw_only=True)

    def __call__(self, log_snr: Tensor, sigma_data: float) -> Tensor:
        """Return the weight of the x_0 error, of log_snr's shape."""
        return torch.ones_like(log_snr)


@dataclass(frozen=True)
class SNR:
    """The error in the noise counts the same at every level (DDPM's "simple" loss)."""

    kind: Literal["snr"] = field(default="snr", kw_only=True)

    def __call__(self, log_snr: Tensor, sigma_data: float) -> Tensor:
        """Return the weight of the x_0 error, of log_snr's shape."""
        return log_snr.exp()


@dataclass(frozen=True)
class MinSNR:
    """SNR, but never more than ``gamma`` (Hang et al. 2023).

    Attributes:
        gamma: the largest weight, positive.
    """

    kind: Literal["min_snr"] = field(default="min_snr", kw_only=True)
    gamma: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.gamma < math.inf:
            raise UsageError(f"min_snr got gamma={self.gamma}; give a positive number")

    def __call__(self, log_snr: Tensor, sigma_data: float) -> Tensor:
        """Return the weight of the x_0 error, of log_snr's shape."""
        return log_snr.exp().clamp(max=self.gamma)


@dataclass(frozen=True)
class EDMWeight:
    """Every level starts with the same loss under EDM's parameterization (Karras et al. 2022)."""

    kind: Literal["edm"] = field(default="edm", kw_only=True)

    def __call__(self, log_snr: Tensor, sigma_data: float) -> Tensor:
        """Return the weight of the x_0 error, of log_snr's shape."""
        return log_snr.exp() + 1 / sigma_data**2


Weighting = Unit | SNR | MinSNR | EDMWeight
"""Any weight of the loss by noise level."""
