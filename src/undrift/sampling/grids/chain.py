"""Grids that pick K steps of a chain of T = 1000, as diffusers spaces them.

Step k = 0 ... T - 1 of a chain is time (k + 1) / T (``diffusion/markov.py``). With N steps to take,

    trailing   k_i = round(T - i T / N) - 1                                            (1)
    leading    k_i = (N - 1 - i) floor(T / N) + offset                                 (2)

for i = 0 ... N - 1, halves rounded to even, and t_N = 0. Trailing begins at t = 1; leading does
not, so that sampling begins at less noise than the pure noise that it is given: it is here to
repeat what was made with it.

References: diffusers' ``timestep_spacing``; Lin et al. 2024, "Common Diffusion Noise Schedules and
Sample Steps are Flawed", table 2, which counts k from 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.grids.explicit import check_steps

LENGTH = 1000
"""Steps T of the chain."""


def trailing(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Equation (1): evenly spaced, counted from the noise.

    Args:
        schedule: the path.
        steps: number of steps, 1 to 1000.

    Returns:
        Falling times, float64, shape (steps + 1,).

    Raises:
        UsageError: for other steps.
    """
    _check_steps(steps)
    position = LENGTH - torch.arange(steps, dtype=torch.float64, device="cpu") * (LENGTH / steps)
    return _times(position.round() - 1)  # (1)


def leading(schedule: NoiseSchedule, steps: int, *, offset: int = 0) -> Tensor:
    """Equation (2): evenly spaced, counted from the data.

    Args:
        schedule: the path.
        steps: number of steps, 1 to 1000.
        offset: diffusers' ``steps_offset``: 0 by default, 1 for Stable Diffusion.

    Returns:
        Falling times, float64, shape (steps + 1,).

    Raises:
        UsageError: for other steps, or an offset that leaves the chain.
    """
    _check_steps(steps)
    stride = LENGTH // steps
    if not 0 <= offset < LENGTH - (steps - 1) * stride:
        raise UsageError(
            f"leading grid of {steps} steps, offset {offset}: it leaves the chain of {LENGTH}; "
            "give 0 or 1"
        )
    backwards = torch.arange(steps - 1, -1, -1, dtype=torch.float64, device="cpu")
    return _times(backwards * stride + offset)  # (2)


def _check_steps(steps: int) -> None:
    check_steps(steps)
    if steps > LENGTH:
        raise UsageError(f"steps {steps}: a chain of {LENGTH} has no more; give at most that")


def _times(k: Tensor) -> Tensor:
    return torch.cat([(k + 1) / LENGTH, k.new_zeros(1)])
