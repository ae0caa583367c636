r"""Reflow: a student of pairs of noise and the image that its teacher draws from it.

With :math:`x = T(\epsilon)` what the teacher draws from the noise :math:`\epsilon` in many steps
of DDIM, and :math:`x_t = \alpha_t x + \sigma_t \epsilon`,

.. math:: L = \Bigl(1 + \frac{1}{u^2}\Bigr)\,\lVert G(x_t, t, s) - x \rVert^2, \qquad
          u = \sigma_t / \alpha_t,                                                       \quad (1)

a denoising loss of noise and images that belong together, whose paths cross less often than those
of images with any noise, so that steps along the estimate can be longer. The same estimate is
wanted whatever the end :math:`s` of the step, which is drawn at random. Each batch costs the
teacher ``pairs`` passes.

Reference: Liu et al. 2023, "Flow Straight and Fast: Learning to Generate and Transfer Data with
Rectified Flow", section 2.2, in the coordinates of `undrift.distillation.carry`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import LogNormal, NoiseSchedule
from undrift.distillation.carry import Estimate, carried, noised
from undrift.schema import check_ranges

LEAST = 0.02
"""sigma / alpha from which the last step of a pair goes to the image."""


@dataclass(frozen=True)
class ReflowConfig:
    """Levels and pairs of reflow.

    Attributes:
        levels: distribution of the noise levels; high ones, from which few steps begin.
        pairs: steps in which the teacher draws each image.
    """

    kind: Literal["reflow"] = "reflow"
    steps: ClassVar[tuple[int, ...]] = ()
    guided: ClassVar[bool] = True
    chosen_level: ClassVar[bool] = True
    end: ClassVar[bool] = True
    direction: ClassVar[str] = "teacher"
    levels: LogNormal = field(default_factory=lambda: LogNormal(mean=1.0, std=2.0))
    pairs: int = 12

    def __post_init__(self) -> None:
        check_ranges(self, "reflow", pairs=(1, 1000))


def teachers_images(
    teacher: Estimate, noise: Tensor, pairs: int, schedule: NoiseSchedule
) -> Tensor:
    """What the teacher draws from ``noise`` in ``pairs`` steps of DDIM, of its shape.

    Args:
        teacher: estimates of clean images.
        noise: standard normal (B, ...).
        pairs: steps, even in log(sigma / alpha).
        schedule: the path.
    """
    count, device = len(noise), noise.device
    start = torch.ones(1, dtype=torch.float64, device=device)
    largest = float(schedule(start).ratio.clamp_max(1e3)[0])
    ratios = torch.linspace(
        math.log(largest), math.log(LEAST), pairs, dtype=torch.float64, device=device
    )
    times = torch.cat([start, schedule.time_at(-2 * ratios[1:]), torch.zeros_like(start)])
    x = noise * schedule(start).sigma.to(noise.dtype)
    for t, s in zip(times[:-1].unsqueeze(1), times[1:].unsqueeze(1), strict=True):
        t, s = t.expand(count), s.expand(count)
        x = carried(teacher(x, t, s), x, t, s, schedule)
    return x


def reflow_losses(
    student: Estimate,
    x: Tensor,
    noise: Tensor,
    times: tuple[Tensor, Tensor],
    schedule: NoiseSchedule,
) -> Tensor:
    """Equation (1) of each sample, (B,), over the mean of its values.

    Args:
        student: G.
        x: images (B, ...), each drawn from
        noise: its noise, of x's shape.
        times: t and s < t, (B,) float64 each.
        schedule: the path.
    """
    t, s = times
    error = student(noised(x, noise, t, schedule), t, s) - x
    weight = 1 + schedule(t).ratio ** -2
    return weight.to(x.dtype) * error.square().flatten(1).mean(1)  # (1)
