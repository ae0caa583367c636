"""Grids laid out in time; which noise levels they mean depends on the schedule.

    uniform     t_i = 1 - i / N                                                        (1)
    quadratic   t_i = (1 - i / N)^2                                                    (2)
    beta        t_i = F^-1(1 - i / N; a, b),   F the Beta(a, b) distribution function  (3)
    shifted     t_i = s u / (1 + (s - 1) u),   u = 1 - i / N                           (4)

for i = 0 ... N, so that t_0 = 1 and t_N = 0.

References: (2) Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", appendix D.2.
(3) Lee et al. 2024, "Beta Sampling is All You Need", with the a = b = 0.6 that became usual; there
rounded to the steps of a chain, here not. (4) Esser et al. 2024, "Scaling Rectified Flow
Transformers", eq. 23: images of s^2 times as many pixels as the model's first ones need s times the
noise for the same uncertainty. On the flow path it is exactly that: sigma / alpha becomes s times
itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.grids.explicit import check_steps


def uniform(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Equation (1): evenly spaced in time, from t = 1 (where alpha may be 0) to t = 0.

    Args:
        schedule: the path; what "evenly" means depends on it.
        steps: number of steps, at least 1.

    Returns:
        Falling times, float64, shape (steps + 1,).

    Raises:
        UsageError: for steps < 1.
    """
    check_steps(steps)
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64, device="cpu")  # (1)


def quadratic(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Equation (2): crowded towards the data. Arguments, result and errors as in `uniform`."""
    return uniform(schedule, steps) ** 2  # (2)


def beta(schedule: NoiseSchedule, steps: int, *, a: float = 0.6, b: float = 0.6) -> Tensor:
    """Equation (3): crowded at both ends where a and b are below 1.

    Args:
        schedule: the path.
        steps: number of steps, at least 1.
        a: first parameter of the Beta distribution; smaller crowds the data's end.
        b: second; smaller crowds the noise's end. Both 1 are `uniform`.

    Returns:
        Falling times, float64, shape (steps + 1,).

    Raises:
        UsageError: for steps < 1, or parameters so small or large that times fall together.
    """
    from scipy import special  # a moment, spared where another grid is taken

    if not (0 < a < math.inf and 0 < b < math.inf):
        raise UsageError(f"beta grid of {a:g} and {b:g}: give two finite numbers above 0")
    share = uniform(schedule, steps)
    times = torch.from_numpy(special.betaincinv(a, b, share.numpy()))  # (3)
    times[0], times[-1] = 1.0, 0.0
    if not bool((times.diff() < 0).all()):
        raise UsageError(
            f"beta grid of {a:g} and {b:g}: at {steps} steps its times fall together; "
            "give numbers nearer to 1 (0.6 and 0.6 are usual)"
        )
    return times


def shifted(schedule: NoiseSchedule, steps: int, *, shift: float = 3.0) -> Tensor:
    """Equation (4): towards more noise, for larger images.

    Args:
        schedule: the path.
        steps: number of steps, at least 1.
        shift: s; 1 is `uniform`, 3 is Stable Diffusion 3's at 1024 x 1024.

    Returns:
        Falling times, float64, shape (steps + 1,).

    Raises:
        UsageError: for steps < 1 or a shift that is not above 0 and finite.
    """
    if not 0 < shift < math.inf:
        raise UsageError(f"shift {shift:g}: give a finite number above 0 (3 is usual)")
    u = uniform(schedule, steps)
    return shift * u / (1 + (shift - 1) * u)  # (4)
