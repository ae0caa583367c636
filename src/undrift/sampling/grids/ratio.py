"""Grids laid out in the noise-to-signal ratio ``r = sigma / alpha``.

Every path is the same equation in r, so one grid means the same noise levels under every schedule:

    karras    r_i = (r_max^(1/rho) + i / (N - 1) (r_min^(1/rho) - r_max^(1/rho)))^rho  (1)
    log_snr   log r_i evenly spaced from log r_max to log r_min                        (2)

for i = 0 ... N - 1, and t_N = 0. References: (1) is eq. 5 of Karras et al. 2022, "Elucidating the
Design Space of Diffusion-Based Generative Models"; (2) is the grid of Lu et al. 2022, "DPM-Solver".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.grids.explicit import check_steps, closed

_LARGEST_RATIO = 80.0  # Karras et al. 2022, table 1, for paths that end in pure noise


def karras(
    schedule: NoiseSchedule,
    steps: int,
    *,
    rho: float = 7.0,
    sigma_min: float = 0.002,
    sigma_max: float | None = None,
) -> Tensor:
    """Equation (1): short steps where there is little noise.

    Args:
        schedule: the path.
        steps: number of steps, at least 1.
        rho: 1 is evenly spaced in sigma / alpha; larger crowds the low noise levels.
        sigma_min: smallest sigma / alpha before the last step to 0.
        sigma_max: largest sigma / alpha; by default the schedule's own at t = 1, or 80 where that
            is infinite (the grid then begins a little below t = 1).

    Returns:
        Falling times, float64, shape (steps + 1,), the last exactly 0.

    Raises:
        UsageError: for steps < 1, rho <= 0 or bounds out of order.
    """
    if not (math.isfinite(rho) and rho > 0):
        raise UsageError(f"rho {rho}: give a number above 0 (7 is usual)")
    largest = _checked_bounds(schedule, steps, sigma_min, sigma_max)
    ramp = _ramp(steps)
    top, bottom = largest ** (1 / rho), sigma_min ** (1 / rho)
    ratio = (top + ramp * (bottom - top)) ** rho  # (1)
    return closed(schedule, ratio.log(), from_end=sigma_max is None)


def log_snr(
    schedule: NoiseSchedule,
    steps: int,
    *,
    sigma_min: float = 0.002,
    sigma_max: float | None = None,
) -> Tensor:
    """Equation (2): evenly spaced in the log-SNR. Arguments, result and errors as in `karras`."""
    largest = _checked_bounds(schedule, steps, sigma_min, sigma_max)
    top, bottom = math.log(largest), math.log(sigma_min)
    log_ratio = top + _ramp(steps) * (bottom - top)  # (2)
    return closed(schedule, log_ratio, from_end=sigma_max is None)


def _checked_bounds(
    schedule: NoiseSchedule, steps: int, sigma_min: float, sigma_max: float | None
) -> float:
    """Check the ends and return the largest ratio."""
    check_steps(steps)
    own = float(schedule(1.0).ratio)
    largest = sigma_max
    if largest is None:
        largest = own if math.isfinite(own) else _LARGEST_RATIO
    if not (0 < sigma_min < largest and math.isfinite(largest)):
        raise UsageError(
            f"grid from sigma / alpha {largest:g} down to {sigma_min:g}: "
            "give finite bounds above 0, the larger first"
        )
    if largest > own * (1 + 1e-9):
        raise UsageError(
            f"sigma_max {largest:g} is beyond the schedule's {own:g}: give at most that"
        )
    return largest


def _ramp(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=torch.float64, device="cpu")
