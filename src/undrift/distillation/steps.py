"""Where the few steps of a student lie.

They begin at pure noise and end at the image. The levels between are evenly spaced in log(sigma /
alpha) around one level, that of two steps, which is chosen by measurement or, for distribution
matching, before training: by a factor of 4 from
one to the next, and by less where more than 6 steps would go beyond 16 times and a 16th of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule

FACTOR, MOST_FACTORS = 4.0, 2.0


def few_step_times(steps: int, level: float, schedule: NoiseSchedule) -> Tensor:
    """Times at which each of ``steps`` steps begins: (steps,) float64, falling from 1.

    Args:
        steps: at least 1.
        level: sigma / alpha between the steps of two.
        schedule: the path.
    """
    reach = min((steps - 2) / 2, MOST_FACTORS)
    powers = torch.linspace(reach, -reach, max(0, steps - 1), dtype=torch.float64, device="cpu")
    if steps == 2:
        powers = torch.zeros(1, dtype=torch.float64, device="cpu")
    log_ratio = math.log(level) + powers * math.log(FACTOR)
    start = torch.ones(1, dtype=torch.float64, device="cpu")
    return torch.cat([start, schedule.time_at(-2 * log_ratio)])
