r"""Mean flow: a flow map by the derivative along its path.

The map of `undrift.distillation.flow_map` with an estimate :math:`G(x_t, t, s)`, whose mean
velocity between both levels is :math:`(x - G) / u` for :math:`x = x_t / \alpha_t`. Its identity,
with noise over signal :math:`u, w` at :math:`t, s`, is

.. math::

    G = \frac{w}{u}\,x_0 + \Bigl(1 - \frac{w}{u}\Bigr)\,G - (u - w)\,\frac{dG}{du},      \quad (1)

where :math:`dG/du` is the total derivative along :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon`
at fixed :math:`s`: the limit of the flow map's equation as its middle level goes to :math:`t`. The
loss is the distance between both sides, of which the right one has no gradient, over :math:`u`.

The derivative is one product with the Jacobian (``jvp``), in forward mode with attention as plain
products, of which torch has it; or the difference quotient over a share :math:`h` of :math:`u`
(``difference``), which every network has:

.. math::

    \frac{dG}{du} \approx \frac{G(x_t, t, s) - G(x_r, r, s)}{u - v}, \quad v = (1 - h)\,u. \quad (2)

Reference: Geng et al. 2025, "Mean Flows for One-step Generative Modeling", eqs. 6-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from undrift.diffusion import NoiseSchedule
from undrift.distillation.carry import Estimate, noised
from undrift.distillation.consistency import distance, same_random_numbers
from undrift.distillation.flow_map import EndsConfig
from undrift.errors import UsageError
from undrift.schema import check_ranges

Derivative = Literal["difference", "jvp"]


@dataclass(frozen=True)
class MeanFlowConfig(EndsConfig):
    """Levels of a mean flow.

    Attributes:
        derivative: how dG/du is taken.
        share: h of equation (2).
    """

    kind: Literal["mean_flow"] = "mean_flow"
    derivative: Derivative = "difference"
    share: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "mean flow", share=(1e-6, 0.5))


def mean_flow_losses(
    student: Estimate,
    x0: Tensor,
    noise: Tensor,
    times: tuple[Tensor, Tensor],
    schedule: NoiseSchedule,
    config: MeanFlowConfig,
) -> Tensor:
    """Distance of both sides of (1) for each sample, (B,), float32 or wider.

    Args:
        student: G.
        x0: training images, or the teacher's estimates at x_t (B, ...).
        noise: that x_t holds beside them.
        times: t and s, (B,) float64 each, t > s.
        schedule: the path.
        config: how the derivative is taken.

    Raises:
        UsageError: ``jvp`` of a network that torch cannot differentiate so.
    """
    t, s = times
    u, w = schedule(t).ratio, schedule(s).ratio

    def along(time: Tensor) -> Tensor:
        with same_random_numbers(x0.device):
            return student(noised(x0, noise, time, schedule), time, s)

    with torch.no_grad():
        if config.derivative == "jvp":
            one = torch.ones_like(t)
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    estimate, by_time, *_ = torch.func.jvp(along, (t,), (one,))
            except NotImplementedError as error:
                raise UsageError(
                    "mean flow: derivative jvp, and torch has no forward mode of a part of this "
                    "network; set derivative: difference"
                ) from error
            _, speed, *_ = torch.func.jvp(lambda time: schedule(time).ratio, (t,), (one,))
            slope = by_time / _like(speed, x0)
        else:
            v = u * (1 - config.share)
            estimate = along(t)
            slope = (estimate - along(schedule.time_at(-2 * v.log()))) / _like(u - v, x0)  # (2)
        share = _like(w / u, x0)
        target = share * x0 + (1 - share) * estimate - _like(u - w, x0) * slope  # (1)
    made = student(noised(x0, noise, t, schedule), t, s)
    return distance(made - target, 1 / u, config.huber)


def _like(values: Tensor, x: Tensor) -> Tensor:
    """``values`` (B,) as a factor of x (B, ...)."""
    return values.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
