r"""Flow maps: one network that goes from any level of a path to any lower one.

The map :math:`f(x_t, t, s)` of `undrift.distillation.carry` with an estimate :math:`G(x_t, t, s)`.
Between :math:`t` and :math:`s` lies :math:`l`; going to :math:`l` along an image :math:`x_0` and
from there to :math:`s` by the map itself gives the same as going at once if

.. math::

    G(x_t, t, s) = a\,x_0 + (1 - a)\,G(x_l, l, s), \qquad
    a = \frac{w\,(u - v)}{v\,(u - w)},                                                   \quad (1)

with noise over signal :math:`u, v, w` at :math:`t, l, s`, whatever the path. On average over the
images that :math:`x_t` may come from this is the derivative of the map along its flow, so that
:math:`x_0` may be a training image with the same noise at both levels; no derivative is computed.
The loss is the distance between both sides, in units of the gap, as in `consistency`:

.. math:: L = \frac{1 - w/u}{u - v}\,\lVert G(x_t, t, s) - \mathrm{sg}(\ldots) \rVert.   \quad (2)

Of the interval from t to s, l is at the share :math:`\rho^p`, which falls from 1 to :math:`\rho`
with the share :math:`p` of the run that is done. At 1 the target is :math:`x_0`: the map begins as
a denoiser, whose steps are DDIM's. At s = 0, (1) and (2) are consistency tuning.

References: Luo et al. 2025, "SoFlow: Solution Flow Models for One-Step Generative Modeling", eqs.
10-13, in the coordinates of Kim et al. 2024, "Consistency Trajectory Models".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import LogNormal, NoiseSchedule
from undrift.distillation.carry import Estimate
from undrift.distillation.consistency import distance, same_random_numbers
from undrift.schema import check_ranges


@dataclass(frozen=True)
class EndsConfig:
    """Levels between which a map goes.

    Attributes:
        levels: distribution of the noisier of the levels.
        whole: share of the steps that end at the image; the others end at a level below t, drawn
            from the same distribution.
        huber: c of the distance, in units of the gap; see `undrift.distillation.consistency`.
        direction: along training images (``data``), or along the teacher's estimates.
    """

    steps: ClassVar[tuple[int, ...]] = ()
    guided: ClassVar[bool] = True
    chosen_level: ClassVar[bool] = True
    end: ClassVar[bool] = True
    levels: LogNormal = field(default_factory=lambda: LogNormal(mean=-0.4, std=2.0))
    whole: float = 0.5
    huber: float = 0.0
    direction: Literal["data", "teacher"] = "data"

    def __post_init__(self) -> None:
        check_ranges(self, "flow map", whole=(0, 1), huber=(0, 1e6))

    def ends(self, quantile: Tensor, choice: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Times s at which steps end, (B,) float64.

        Args:
            quantile: of t in the distribution of levels, (B,) in [0, 1).
            choice: uniform numbers (B,) in [0, 1).
            schedule: the path.
        """
        within = ((choice - self.whole) / max(1 - self.whole, 1e-9)).clamp(0, 1)
        s = self.levels.time(schedule, quantile * within)
        return torch.where(choice < self.whole, torch.zeros_like(s), s)


@dataclass(frozen=True)
class FlowMapConfig(EndsConfig):
    """Levels and gap of a flow map.

    Attributes:
        closest: rho, share of a step that the gap is at the end of the run.
    """

    kind: Literal["flow_map"] = "flow_map"
    closest: float = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "flow map", closest=(1e-6, 1))

    def between(self, t: Tensor, s: Tensor, fraction: float, schedule: NoiseSchedule) -> Tensor:
        """Times l between s and t, (B,) float64; ``fraction`` is the share of the run done."""
        u, w = schedule(t).ratio, schedule(s).ratio
        v = u + (w - u) * self.closest**fraction
        return torch.where(v > 0, schedule.time_at(-2 * v.log()), torch.zeros_like(t))


def share_of_image(u: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """A of equation (1) for noise over signal u > v >= w; 1 where v is w."""
    whole = v <= w
    safe = torch.where(whole, torch.ones_like(v), v)
    return torch.where(whole, torch.ones_like(v), w * (u - v) / (safe * (u - w)))  # (1)


def flow_map_losses(
    student: Estimate,
    x_t: Tensor,
    x_l: Tensor,
    x0: Tensor,
    times: tuple[Tensor, Tensor, Tensor],
    schedule: NoiseSchedule,
    huber: float = 0.0,
) -> Tensor:
    """Equation (2) of each sample, (B,), float32 or wider.

    Args:
        student: G.
        x_t: images at t (B, ...).
        x_l: images at l, on the trajectory from x_t with x0 constant.
        x0: training images, or the teacher's estimates at x_t.
        times: t, l and s, (B,) float64 each, t > l >= s.
        schedule: the path.
        huber: c of the distance.
    """
    t, middle, s = times
    u, v, w = (schedule(time).ratio for time in times)
    a = share_of_image(u, v, w).to(x0.dtype).reshape(-1, *[1] * (x0.ndim - 1))
    with torch.no_grad(), same_random_numbers(x_t.device):
        later = student(x_l, middle, s)
    target = torch.where(a == 1, x0, a * x0 + (1 - a) * later)
    scale = (1 - w / u) / (u - v)  # (2)
    return distance(student(x_t, t, s) - target, scale, huber)
