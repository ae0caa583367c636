r"""A variance-preserving path given by its log-SNR, piecewise linear in t.

Definition: knots ``lambda_0 > ... > lambda_N`` at even times from ``t_0`` to 1, and

    alpha^2 = sigmoid(lambda(t)),     sigma^2 = sigmoid(-lambda(t)),       t in [t_0, 1],        (1)

with ``lambda`` linear between knots. Two knots are the linear log-SNR schedule; more are a learned
one. On [0, t_0] the noise ``r = sigma / alpha`` falls linearly to 0, so that t = 0 is data as on
every path:

    r(t) = r(t_0) t / t_0,     alpha^2 = 1 / (1 + r^2),     sigma = r alpha,                     (2)
    alpha_dot = lambda_dot alpha sigma^2 / 2,     sigma_dot = - lambda_dot sigma alpha^2 / 2,    (3)

where ``lambda_dot = -2 / t`` on the stretch (2).

Reference: Kingma et al. 2021, "Variational Diffusion Models", section 3.2.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from undrift.diffusion.schedule import Level
from undrift.errors import UsageError, shown

MOST_KNOTS = 10_000


@dataclass(frozen=True)
class LogSNR:
    """The path (1).

    Attributes:
        knots: log-SNR at even times from ``start`` to 1, falling, two or more.
        start: t_0, the time of the first knot, in (0, 1).
    """

    kind: Literal["log_snr"] = field(default="log_snr", kw_only=True)
    knots: tuple[float, ...] = (13.3, -10.0)
    start: float = 1e-3

    def __post_init__(self) -> None:
        if len(self.knots) > MOST_KNOTS:
            raise UsageError(f"log_snr got {len(self.knots):,} knots; give {MOST_KNOTS} at most")
        falling = all(a > b for a, b in itertools.pairwise(self.knots))
        if len(self.knots) < 2 or not falling or not all(map(math.isfinite, self.knots)):
            raise UsageError(
                f"log_snr got knots {shown(self.knots)}; give two or more finite numbers that fall"
            )
        if not 0 < self.start < 1:
            raise UsageError(f"log_snr got start={self.start}; give a time between 0 and 1")

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        t = torch.as_tensor(t, dtype=torch.float64)
        knots = torch.tensor(self.knots, dtype=torch.float64, device=t.device)
        segments = len(self.knots) - 1
        place = (t - self.start) / (1 - self.start) * segments
        index = place.floor().long().clamp(0, segments - 1)
        rise = knots[index + 1] - knots[index]
        log_snr = knots[index] + rise * (place - index)
        near = t < self.start
        stretch = self.knots[0] - 2 * torch.log(t / self.start)  # (2); +inf at t = 0
        log_snr = torch.where(near, stretch, log_snr)
        slope = torch.where(near, -2 / t, rise * segments / (1 - self.start))
        alpha, sigma = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()  # (1)
        # At t = 0 the products of (3) are 0 times infinity; on (2) sigma is linear there.
        linear = math.exp(-self.knots[0] / 2) / self.start
        alpha_dot = torch.where(near, -(alpha**3) * t * linear**2, slope * alpha * sigma**2 / 2)
        sigma_dot = torch.where(near, alpha**3 * linear, -slope * sigma * alpha**2 / 2)  # (3)
        return Level(t, alpha, sigma, alpha_dot, sigma_dot)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        log_snr = torch.as_tensor(log_snr, dtype=torch.float64)
        knots = torch.tensor(self.knots, dtype=torch.float64, device=log_snr.device)
        segments = len(self.knots) - 1
        index = torch.searchsorted(-knots[1:-1], -log_snr.contiguous(), right=True)
        inside = (log_snr - knots[index]) / (knots[index + 1] - knots[index])
        t = self.start + (1 - self.start) * (index + inside) / segments
        stretch = self.start * torch.exp((self.knots[0] - log_snr) / 2)  # (2)
        return torch.where(log_snr > self.knots[0], stretch, t.clamp(self.start, 1.0))
