r"""Progressive distillation: each step of the student is two of its teacher, again and again.

The run has as many stages of equal length as the number of steps is halved, from ``first`` to the
student's. In a stage of :math:`n` steps the student learns where two of the :math:`2 n` steps of
its teacher lead, from :math:`x_t` by way of :math:`m` to :math:`x_s`:

.. math::

    G(x_t, t, s) = \frac{x_s - r\,x_t}{\alpha_s - r\,\alpha_t}, \qquad
    r = \frac{\sigma_s}{\sigma_t},                                                       \quad (1)

the estimate along which one step of DDIM, `undrift.distillation.carry`, ends in the same place. The
loss is :math:`(1 + 1/u^2)` times the squared distance. The teacher of the first stage is the
student's; that of each later one the student itself, as it was when the stage began.

The levels of :math:`2 n` steps are those of :math:`n` and, between any two, their geometric mean
(2); below the last one a quarter of it.

Reference: Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models",
algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.distillation.carry import Estimate, carried
from undrift.distillation.steps import FACTOR
from undrift.errors import UsageError
from undrift.schema import check_ranges

MOST_RATIO = 1e3
"""Noise over signal that the first level counts as, at most: of some paths it is infinite."""


@dataclass(frozen=True)
class ProgressiveConfig:
    """Numbers of steps.

    Attributes:
        first: steps of the first stage's teacher; a power of 2.
        level: noise over signal between the steps of two, in standard deviations of the data.
    """

    kind: Literal["progressive"] = "progressive"
    steps: ClassVar[tuple[int, ...]] = (1, 2, 4)
    guided: ClassVar[bool] = True
    chosen_level: ClassVar[bool] = False
    end: ClassVar[bool] = True
    direction: ClassVar[str] = "teacher"
    first: int = 16
    level: float = 1.6

    def __post_init__(self) -> None:
        check_ranges(self, "progressive", first=(8, 1024), level=(1e-6, 1e6))
        if self.first & (self.first - 1):
            raise UsageError(f"progressive: first is {self.first}, wanted a power of 2")

    def stage(self, fraction: float, steps: int) -> int:
        """The stage, from 0, after the share ``fraction`` of the run of a student of ``steps``."""
        stages = (self.first // steps).bit_length() - 1
        return min(int(fraction * stages), stages - 1)

    def grid(self, stage: int, last: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Times of the teacher's steps in a stage, and 0 behind them, float64.

        Args:
            stage: from 0.
            last: times at which the finished student's steps begin, (steps,) float64.
            schedule: the path.
        """
        times = last
        while len(times) < self.first >> stage:
            times = refined(times, schedule)
        return torch.cat([times, torch.zeros_like(times[:1])])


def refined(times: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Twice as many ``times`` (n,) at which steps begin, by (2)."""
    ratios = schedule(times).ratio.clamp_max(MOST_RATIO)
    following = torch.cat([ratios[1:], ratios[-1:] / FACTOR**2])
    between = schedule.time_at(-(ratios.log() + following.log()))
    return torch.stack([times, between], dim=1).flatten()


def joined_steps(
    teacher: Estimate, x_t: Tensor, times: Sequence[Tensor], schedule: NoiseSchedule
) -> Tensor:
    """Equation (1), of x_t's shape, of as many steps of the teacher as there are.

    Args:
        teacher: estimates of clean images.
        x_t: noisy images (B, ...).
        times: at which steps begin, and the end of the last one, falling, (B,) float64 each.
        schedule: the path.
    """
    x_s = x_t
    for begin, end in pairwise(times):
        x_s = carried(teacher(x_s, begin, end), x_s, begin, end, schedule)
    level, last = schedule(times[0]).like(x_t), schedule(times[-1]).like(x_t)
    r = last.sigma / level.sigma
    return (x_s - r * x_t) / (last.alpha - r * level.alpha)  # (1)


def progressive_losses(
    student: Estimate,
    target: Tensor,
    x_t: Tensor,
    times: tuple[Tensor, Tensor],
    schedule: NoiseSchedule,
) -> Tensor:
    """Weighted squared distance of each sample, (B,), over the mean of its values.

    Args:
        student: G.
        target: of `joined_steps`.
        x_t: noisy images (B, ...).
        times: t and s, (B,) float64 each.
        schedule: the path.
    """
    t, s = times
    weight = 1 + schedule(t).ratio ** -2
    return weight.to(x_t.dtype) * (student(x_t, t, s) - target).square().flatten(1).mean(1)
