r"""From one noise level to another along an estimate of the clean image.

A student's network gives an estimate :math:`G(x_t, t, s)` of a clean image. It stands for the map
of the probability-flow ODE from :math:`t` to :math:`s < t`,

.. math::

    f(x_t, t, s) = \alpha_s G + \frac{\sigma_s}{\sigma_t}\,(x_t - \alpha_t G), \qquad
    f(x_t, t, t) = x_t.                                                                   \quad (1)

With the denoiser in the place of :math:`G` this is a step of DDIM; with the exact :math:`G` it is
the exact map. At :math:`s = 0` the map is :math:`G` itself, a consistency function, and
:math:`f(x, 0, 0) = x`. Nothing is divided by :math:`\alpha_t`, which may be 0.

References: Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12; Kim et al. 2024,
"Consistency Trajectory Models", eq. 9 (1).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule

Estimate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``estimate(x_t, t, s)``: clean images of x_t's shape; times of shape () or (B,)."""


def carried(x0: Tensor, x_t: Tensor, t: Tensor, s: Tensor, schedule: NoiseSchedule) -> Tensor:
    """``x_t`` at time s along the estimate ``x0``, by (1); exactly ``x_t`` where s is t.

    Args:
        x0: estimate of the clean images (B, ...).
        x_t: noisy images (B, ...).
        t: their times, of shape () or (B,).
        s: times to go to, likewise, at most t.
        schedule: the path.
    """
    level, end = schedule(t).like(x_t), schedule(s).like(x_t)
    sigma = torch.where(level.sigma > 0, level.sigma, torch.ones_like(level.sigma))
    moved = end.alpha * x0 + end.sigma / sigma * (x_t - level.alpha * x0)  # (1)
    return torch.where(level.t == end.t, x_t, moved)


def noised(x0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """``alpha_t x0 + sigma_t noise``, of x0's shape."""
    level = schedule(t).like(x0)
    return level.alpha * x0 + level.sigma * noise
