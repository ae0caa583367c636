"""Embedded pairs: a step of the probability-flow ODE together with an estimate of its error.

Every path is the same one as ``y = cos(phi) x_0 + sin(phi) eps``, with ``phi = atan(sigma /
alpha)`` between pi / 2, pure noise, and 0, data. On it the equation reads

    dy / dphi = cos(phi) eps - sin(phi) D,     eps = (y - cos(phi) D) / sin(phi)          (1)

which is finite and smooth from pure noise on. Two pairs:

`DormandPrince` solves (1) by the explicit Runge-Kutta pair of orders 5 and 4 whose last stage is
the first of the next step: six evaluations per step.

`Exponential` solves its equivalent in ``lambda = -log tan(phi)`` with an exact linear part. With h
the length of the step, ``Phi(H) = 1 - (1 - e^-H) / H``, and D_1, D_2 evaluated at thirds of it,

    y_1 = carry(y, D_0) to h / 3
    y_2 = carry(y, D_0) to 2 h / 3, and cos(phi_2) Phi(2 h / 3) 2 (D_1 - D_0) more        (2)
    y_s = carry(y, D_0) to h,       and cos(phi_s) Phi(h) (3 / 2) (D_2 - D_0) more        (3)
    y^  = carry(y, D_0) to h,       and cos(phi_s) Phi(h) 3 (D_1 - D_0) more              (4)

(3) of order 3, (4) of order 2, and their difference the error: three evaluations per step.

References: Dormand and Prince 1980, "A family of embedded Runge-Kutta formulae"; Lu et al. 2022,
"DPM-Solver", algorithms 2, 3 and appendix C, here for D as in "DPM-Solver++".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from undrift.diffusion.schedule import per_sample

Evaluate = Callable[[Tensor, Tensor], Tensor]
"""``evaluate(y, phi) -> D``: y (B, ...), phi (B,) float64."""


@dataclass(frozen=True)
class Attempt:
    """A step tried on every image.

    Attributes:
        y: the states reached (B, ...).
        error: estimate of their errors (B, ...).
        data: D at the states reached, where the pair knows it.
    """

    y: Tensor
    error: Tensor
    data: Tensor | None


class Pair(Protocol):
    """An embedded pair.

    Attributes:
        order: order of the state that it goes on with.
        exponent: power of the step's length that its error estimate falls with.
        evaluations: evaluations in an attempt, the first stage's not counted.
        longest: length of the longest step after the first, in the pair's own coordinate: on longer
            ones the trajectory may turn unseen between the stages.
    """

    order: ClassVar[int]
    exponent: ClassVar[int]
    evaluations: ClassVar[int]
    longest: ClassVar[float]

    def ahead(self, phi: Tensor, step: Tensor) -> Tensor:
        """Return the angle a step of this length leads to, in the pair's own coordinate."""
        ...

    def length(self, phi: Tensor, target: Tensor) -> Tensor:
        """Return the length of the step between two angles: the inverse of `ahead`."""
        ...

    def first(self, phi: Tensor, tolerance: float) -> Tensor:
        """Return the length of the first step to try."""
        ...

    def attempt(
        self, evaluate: Evaluate, y: Tensor, phi: Tensor, target: Tensor, data: Tensor
    ) -> Attempt:
        """Try a step from ``phi`` to the smaller ``target``, both (B,), given D at its start."""
        ...


_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_FOURTH = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)


@dataclass(frozen=True)
class DormandPrince:
    """Orders 5 and 4 in phi; goes on with the fifth."""

    order: ClassVar[int] = 5
    exponent: ClassVar[int] = 5
    evaluations: ClassVar[int] = 6
    longest: ClassVar[float] = 0.3

    def ahead(self, phi: Tensor, step: Tensor) -> Tensor:
        """See `Pair.ahead`."""
        return phi - step

    def length(self, phi: Tensor, target: Tensor) -> Tensor:
        """See `Pair.length`."""
        return phi - target

    def first(self, phi: Tensor, tolerance: float) -> Tensor:
        """A twentieth of a radian, or of what there is."""
        return phi.clamp(max=1.0) / 20

    def attempt(
        self, evaluate: Evaluate, y: Tensor, phi: Tensor, target: Tensor, data: Tensor
    ) -> Attempt:
        """See `Pair.attempt`."""
        step = per_sample(target - phi, y)
        slopes = [_slope(y, phi, data)]
        reached = y
        for node, row in zip(_NODES, _STAGES, strict=True):
            reached = y + step * _sum(row, slopes)
            angle = phi + node * (target - phi)
            data = evaluate(reached, angle)
            slopes.append(_slope(reached, angle, data))
        # The last stage is the fifth-order state itself.
        fifth = (*_STAGES[-1], 0.0)
        gaps = [a - b for a, b in zip(fifth, _FOURTH, strict=True)]
        return Attempt(reached, step * _sum(gaps, slopes), data)


@dataclass(frozen=True)
class Exponential:
    """Orders 3 and 2 in lambda; goes on with the third."""

    order: ClassVar[int] = 3
    exponent: ClassVar[int] = 3
    evaluations: ClassVar[int] = 2
    longest: ClassVar[float] = 1.5

    def ahead(self, phi: Tensor, step: Tensor) -> Tensor:
        """See `Pair.ahead`."""
        return torch.atan(phi.tan() * torch.exp(-step))

    def length(self, phi: Tensor, target: Tensor) -> Tensor:
        """See `Pair.length`."""
        return phi.tan().log() - target.tan().log()

    def first(self, phi: Tensor, tolerance: float) -> Tensor:
        """Half a nat; from purer noise, as far as Euler's step is good for.

        Near alpha = 0 the state is ``eps + u D`` with ``u = alpha / sigma`` and D all but constant:
        an error of the order of u^2, far below the tolerance at the u chosen here.
        """
        negligible = torch.as_tensor(tolerance, dtype=torch.float32).sqrt() / 4
        return (phi.tan() * negligible).log().clamp(min=0.5).to(phi)

    def attempt(
        self, evaluate: Evaluate, y: Tensor, phi: Tensor, target: Tensor, data: Tensor
    ) -> Attempt:
        """See `Pair.attempt`."""
        h = self.length(phi, target)
        angles = [self.ahead(phi, h / 3), self.ahead(phi, 2 * h / 3), target]
        one, two, euler = (_carry(y, data, phi, angle) for angle in angles)
        bend_1 = evaluate(one, angles[0]) - data
        two = two + per_sample(angles[1].cos() * _phi(2 * h / 3), y) * 2 * bend_1  # (2)
        bend_2 = evaluate(two, angles[1]) - data
        weight = per_sample(target.cos() * _phi(h), y)
        return Attempt(
            euler + weight * 3 / 2 * bend_2,  # (3)
            weight * (3 / 2 * bend_2 - 3 * bend_1),  # (3) - (4)
            None,
        )


def _slope(y: Tensor, phi: Tensor, data: Tensor) -> Tensor:
    """Right side of (1), sorted by y and D."""
    sine, cosine = phi.sin(), phi.cos()
    return per_sample(cosine / sine, y) * y - per_sample(1 / sine, y) * data


def _carry(y: Tensor, data: Tensor, phi: Tensor, target: Tensor) -> Tensor:
    """Euler's step in lambda, as in ``solvers/euler.py``, for angles of one per image."""
    shrink = target.sin() / phi.sin()
    return per_sample(shrink, y) * y + per_sample(target.cos() - shrink * phi.cos(), y) * data


def _phi(h: Tensor) -> Tensor:
    """Phi of the module, without cancellation at the short steps of a tight tolerance."""
    series = h / 2 - h**2 / 6 + h**3 / 24 - h**4 / 120
    return torch.where(h < 1e-3, series, 1 + torch.expm1(-h) / h.clamp(min=1e-12))


def _sum(weights: tuple[float, ...] | list[float], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight != 0:
            total = torch.add(total, slope, alpha=weight)
    return total
