r"""Consistency tuning: one network that maps every point of a path to its end.

With :math:`f(x_t, t)` the student, :math:`u` its target's noise over signal and :math:`v = \rho(u)`
a lower one, both with the same noise :math:`\epsilon`,

.. math::

    L = \frac{\lVert f(x_t, t) - \mathrm{sg}\, f(x_r, r) \rVert}{u - v}, \qquad
    v = u\,\max\Bigl(0,\ 1 - q^{-1 - S p}\,(1 + k\,\mathrm{sigmoid}(-b u))\Bigr)           \quad (1)

where :math:`u = \sigma_t / \alpha_t`, :math:`v = \sigma_r / \alpha_r`, :math:`p` is the share of
the run that is done and :math:`\lVert\cdot\rVert` the root mean square; with :math:`c > 0`, for
data of few dimensions, whose root mean square is no smooth function,

.. math:: L_c = \sqrt{L^2 + c^2} - c.                                                     \quad (2)

At first :math:`v` is 0 where noise is weak, and there (1) is a denoising loss; the gap then closes
as a function of :math:`p` alone, so that a short run closes it as far as a long one.
:math:`\mathrm{sg}` takes no gradient. The two passes have the same dropout, and their difference is
taken in float32.

:math:`x_r` is :math:`\alpha_r x_0 + \sigma_r \epsilon`; or, where a teacher gives the direction, as
a guided one does, the step of the teacher's own equation from :math:`x_t`.

References: Song et al. 2023, "Consistency Models", eqs. 8-10; Geng et al. 2024, "Consistency Models
Made Easy", section 3.3 (1), with u in units of the data's deviation instead of EDM's 0.5.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import LogNormal, NoiseSchedule
from undrift.distillation.carry import Estimate
from undrift.schema import check_ranges


@dataclass(frozen=True)
class ConsistencyConfig:
    """Levels and gap of consistency tuning, eq. (1).

    Attributes:
        levels: distribution of the noisier of the two levels.
        q: base of the gap.
        stages: S, by how many powers of q the gap closes over the run.
        k: how much wider the gap is where noise is weak.
        b: how fast that ends, per unit of u.
        huber: c of equation (2).
        direction: the cleaner of the two images has the same noise (``data``), or comes from the
            teacher's equation (``teacher``).
    """

    kind: Literal["consistency"] = "consistency"
    steps: ClassVar[tuple[int, ...]] = (1, 2, 4)
    guided: ClassVar[bool] = True
    chosen_level: ClassVar[bool] = True
    end: ClassVar[bool] = False
    levels: LogNormal = field(default_factory=lambda: LogNormal(mean=-0.4, std=2.0))
    q: float = 2.0
    stages: float = 7.0
    k: float = 8.0
    b: float = 0.5
    huber: float = 0.0
    direction: Literal["data", "teacher"] = "data"

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "consistency",
            q=(1.01, 1e6),
            stages=(0, 64),
            k=(0, 1e3),
            b=(0, 1e3),
            huber=(0, 1e6),
        )

    def lower(self, u: Tensor, fraction: float) -> Tensor:
        """The lower noise v of equation (1), of u's shape.

        Args:
            u: noise over signal.
            fraction: share of the run that is done.
        """
        gap = self.q ** (-1 - self.stages * fraction) * (1 + self.k * torch.sigmoid(-self.b * u))
        return u * (1 - gap).clamp_min(0)  # (1)

    def lower_time(self, t: Tensor, fraction: float, schedule: NoiseSchedule) -> Tensor:
        """Times r of the cleaner images, of t's shape."""
        v = self.lower(schedule(t).ratio, fraction)
        return torch.where(v > 0, schedule.time_at(-2 * v.log()), torch.zeros_like(t))


def consistency_losses(
    student: Estimate,
    x_t: Tensor,
    x_r: Tensor,
    t: Tensor,
    r: Tensor,
    schedule: NoiseSchedule,
    huber: float = 0.0,
) -> Tensor:
    """Equation (1) of each sample, (B,), float32 or wider.

    Args:
        student: f.
        x_t: noisier images (B, ...).
        x_r: cleaner ones; where r is 0 they are their own target.
        t: times of x_t (B,), float64.
        r: times of x_r (B,), below t.
        schedule: the path.
        huber: c of (2).
    """
    zero = torch.zeros_like(t)
    with torch.no_grad(), same_random_numbers(x_t.device):
        target = student(x_r, r, zero)
    clean = (r == 0).reshape(-1, *[1] * (x_t.ndim - 1))
    target = torch.where(clean, x_r, target)
    scale = 1 / (schedule(t).ratio - schedule(r).ratio)
    return distance(student(x_t, t, zero) - target, scale, huber)


def distance(difference: Tensor, scale: Tensor, huber: float) -> Tensor:
    """Pseudo-Huber distance of each sample (2), (B,), float32 or wider.

    Args:
        difference: (B, ...).
        scale: factor of the difference, (B,).
        huber: c; 0 is the root mean square.
    """
    flat = difference.flatten(1)
    # a vector norm has a gradient of 0, not NaN, at 0
    scaled = torch.linalg.vector_norm(flat, dim=1) / flat.shape[1] ** 0.5 * scale.to(flat.dtype)
    if not huber:
        return scaled
    return torch.hypot(scaled, torch.full_like(scaled, huber)) - huber  # (2)


@contextlib.contextmanager
def same_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's random state as it was, so that what follows has the same dropout."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
