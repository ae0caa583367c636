"""Guidance at some noise levels only.

At high noise guidance reduces diversity, at low noise it changes little and costs a forward; in
between it is worth most.

Reference: Kynkaanniemi et al. 2024, "Applying Guidance in a Limited Interval Improves Sample and
Distribution Quality in Diffusion Models", equation 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Denoise, NoiseSchedule, Prediction
from undrift.diffusion.schedule import per_sample
from undrift.errors import UsageError
from undrift.networks import Context


@dataclass(frozen=True)
class WithinInterval:
    """A denoiser that is guided where ``low < sigma / alpha <= high``.

    Attributes:
        guided: with guidance.
        plain: without.
        schedule: the path.
        low: at least 0.
        high: above ``low``; may be infinite.

    Raises:
        UsageError: for bounds that enclose nothing.
    """

    guided: Denoise
    plain: Denoise
    schedule: NoiseSchedule
    low: float
    high: float = math.inf

    def __post_init__(self) -> None:
        check_interval(self.low, self.high)

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the prediction at ``x_t`` (B, ...) and ``t`` of shape () or (B,)."""
        ratio = self.schedule(t).ratio
        inside = (ratio > self.low) & (ratio <= self.high)
        if bool(inside.all()):
            return self.guided(x_t, t, context)
        plain = self.plain(x_t, t, context)
        if not bool(inside.any()):
            return plain
        guided = self.guided(x_t, t, context).x0
        rows = per_sample(inside, guided) > 0
        return Prediction(plain.x_t, plain.level, torch.where(rows, guided, plain.x0))


def check_interval(low: float, high: float) -> None:
    """Refuse bounds that enclose no noise level.

    Raises:
        UsageError: unless 0 <= low < high.
    """
    if not 0 <= low < high:
        raise UsageError(
            f"guidance_interval {low:g} to {high:g}: give two noise levels sigma / alpha, the "
            "lower one first, as 0.3 and 5"
        )
