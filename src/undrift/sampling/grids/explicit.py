"""Grids that are written out: times, or noise levels, one by one.

A grid is a falling row of times ``t_0 > t_1 > ... > t_N = 0`` in [0, 1]. Published grids are often
listed as noise levels ``r = sigma / alpha`` without the last one, 0: `from_ratios` takes those to
the times of any schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError

Times = Sequence[float] | Tensor
"""Numbers in a row."""


def from_times(times: Times) -> Tensor:
    """Check a grid that is given by its times.

    Args:
        times: falling, in [0, 1], two or more, the last exactly 0.

    Returns:
        The same, float64, on the CPU.

    Raises:
        UsageError: if they are no grid.
    """
    made = _row(times, "times")
    if len(made) < 2 or not bool((made.diff() < 0).all()):
        raise UsageError(f"grid of times {_listed(made)}: give two or more, each below the last")
    if made[0] > 1 or made[-1] != 0:
        raise UsageError(
            f"grid of times {_listed(made)}: begin at 1 or below, and end at exactly 0"
        )
    return made


def from_ratios(schedule: NoiseSchedule, ratios: Times) -> Tensor:
    """Turn noise levels into a grid.

    Args:
        schedule: the path.
        ratios: sigma / alpha, falling; a last one of 0 may be written or left out.

    Returns:
        Falling times, float64, the last exactly 0.

    Raises:
        UsageError: if they do not fall, or begin beyond the schedule's own noise.
    """
    made = _row(ratios, "noise levels")
    made = made[:-1] if len(made) and made[-1] == 0 else made
    if not len(made) or not bool((made.diff() < 0).all()) or made[-1] <= 0:
        raise UsageError(
            f"grid of noise levels {_listed(made)}: give one or more above 0, each below the last"
        )
    own = float(schedule(1.0).ratio)
    if float(made[0]) > own * (1 + 1e-9):
        raise UsageError(
            f"noise level {float(made[0]):g} is beyond the schedule's {own:g}: give at most that"
        )
    return closed(schedule, made.log(), from_end=float(made[0]) >= own * (1 - 1e-9))


def closed(schedule: NoiseSchedule, log_ratio: Tensor, *, from_end: bool) -> Tensor:
    """Turn log(sigma / alpha) into times, with the ends put exactly where they belong.

    Args:
        schedule: the path.
        log_ratio: falling, (N,) float64.
        from_end: whether the first is the schedule's own largest noise, where that is finite.
    """
    times = schedule.time_at(-2 * log_ratio)
    if from_end and bool(schedule(1.0).alpha > 0):
        times[0] = 1.0  # the inverse may miss the end by a rounding error
    return torch.cat([times, times.new_zeros(1)])


def check_steps(steps: int) -> None:
    """Refuse fewer than one step.

    Raises:
        UsageError: for steps < 1.
    """
    if steps < 1:
        raise UsageError(f"steps {steps}: a sampler takes at least 1 step")


def _row(numbers: Times, what: str) -> Tensor:
    try:
        made = torch.as_tensor(numbers, dtype=torch.float64, device="cpu").detach().clone()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"grid of {what}: {reason}; give numbers") from error
    if made.ndim != 1 or not bool(made.isfinite().all()):
        raise UsageError(
            f"grid of {what} of shape {tuple(made.shape)}: give finite numbers in a row"
        )
    return made


def _listed(row: Tensor) -> str:
    shown = [f"{number:g}" for number in row[:8].tolist()]
    return ", ".join(shown) + (", ..." if len(row) > 8 else "") or "(none)"
