r"""Between which noise levels a likelihood is counted.

Symbols: ``lambda`` the log-SNR, ``r = sigma / alpha = exp(-lambda / 2)`` the noise in units of the
data, ``delta`` the distance of neighbouring pixel values in the model's space.

The cleanest level decides what is left to the discretised reconstruction (bound) or to the
dequantisation (ODE). At ``delta / r = 6`` a value lies three standard deviations from the ends of
its bin: the reconstruction costs less than 0.01 nats per dimension, and the network needs no
more precision than that. It is the ratio of Kingma et al. 2021 (lambda = 13.3 at spacing 2/255).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError

SPACINGS = 6.0
"""Spacing of values in standard deviations of the cleanest level's noise."""

LOWEST = -10.0
"""Log-SNR of the noisiest level on paths that end in pure noise."""

MOST = 60
"""Largest log-SNR, either way: its exponential is far inside the range of float32."""


@dataclass(frozen=True)
class Span:
    """Log-SNR from ``low`` (nearly pure noise) to ``high`` (nearly data).

    Attributes:
        low: of the noisiest level.
        high: of the cleanest level.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(
                f"log-SNR from {self.low} to {self.high}: wanted finite numbers, the lower first"
            )
        if max(-self.low, self.high) > MOST:
            raise UsageError(
                f"log-SNR from {self.low:g} to {self.high:g}: wanted numbers from {-MOST} to {MOST}"
            )

    @property
    def width(self) -> float:
        """Length in nats of log-SNR."""
        return self.high - self.low


def span_of(
    schedule: NoiseSchedule, spacing: float, low: float | None = None, high: float | None = None
) -> Span:
    """The span of a path for values that are ``spacing`` apart in the model's space.

    Args:
        schedule: the path; its noisiest level is ``low`` unless that is given or infinite.
        spacing: distance of neighbouring values in the model's space.
        low: log-SNR of the noisiest level.
        high: log-SNR of the cleanest level.

    Raises:
        UsageError: for a level that the path never reaches.
    """
    noisiest = float(schedule(torch.ones((), dtype=torch.float64, device="cpu")).log_snr)
    if low is None:
        low = noisiest if noisiest > -math.inf else LOWEST
    elif low < noisiest - 1e-9:
        raise UsageError(
            f"lowest log-SNR {low:g}: the path of this model ends at {noisiest:g}; give at least "
            "that"
        )
    return Span(low, 2 * math.log(SPACINGS / spacing) if high is None else high)
