"""UniPC: predictor and corrector in the half log-SNR, for one evaluation per step.

With ``lambda = log(alpha / sigma)``, the path's equation is solved by

    x_s = (sigma_s / sigma_t) x_t + sigma_s int_{lambda_t}^{lambda_s} e^lambda D d lambda (1)

The predictor UniP-p replaces D by the polynomial in lambda through its last p values,

    x_s = (sigma_s / sigma_t) x_t + sum_j w_j D_j,   w_j = sigma_s int L_j e^lambda dlambda (2)

and the corrector UniC-p, once D_s is known, by the one through D_s as well, with weights v:

    x_s <- x_s + sum_j (v_j - w_j) D_j + v_s D_s                                          (3)

which costs no evaluation: D_s, made at the predicted x_s, also serves the next step. Where a
single number is left to solve for, the published rule takes 1/2 for it, with h = lambda_s -
lambda_t and ``B = 1 - e^-h`` (bh2) or ``B = h`` (bh1):

    UniP-2  x_s = Euler's + alpha_s B (D_t - D_1) / (2 r_1),   r_1 h = lambda_t - lambda_1 (4)
    UniC-1  x_s = Euler's + alpha_s B (D_s - D_t) / 2                                     (5)

All else is the same for every B. Reference: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector
Framework for Fast Sampling of Diffusion Models", eq. 3, 5, 8 and appendix (data prediction).

The corrector raises the order by one, to p + 1. Written as a difference, (3) keeps whatever was
done to the state between two steps. The last step, to sigma = 0, is Euler's and is not corrected.
From alpha = 0, where h is infinite, the predictor is Euler's step and (5), with B = 1, the
trapezoid of ``heun.py``; an evaluation made there is not interpolated later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.quadrature import lagrange_integrals, legendre


@dataclass(frozen=True)
class Predicted:
    """What the corrector needs: the data and points of the last step, newest first, and w."""

    data: tuple[Tensor, ...] = ()
    points: tuple[Point, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class UniPC2:
    """UniPC-2: third order, also as started, one evaluation per step.

    Attributes:
        variant: ``"bh2"`` or ``"bh1"``.

    Raises:
        UsageError: for any other variant.
    """

    variant: Literal["bh1", "bh2"] = "bh2"

    name: ClassVar[str] = "unipc_2"
    order: ClassVar[int] = 3
    order_as_started: ClassVar[int] = 3
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = False
    terms: ClassVar[int] = 2
    """The p of UniP-p and UniC-p."""

    def __post_init__(self) -> None:
        if self.variant not in ("bh1", "bh2"):
            raise UsageError(f"UniPC variant {self.variant!r}: give 'bh1' or 'bh2'")

    def start(self, x: Tensor, schedule: NoiseSchedule) -> Predicted:
        """There is nothing to correct yet."""
        return Predicted()

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: Predicted,
        draw: Draw,
    ) -> tuple[Tensor, Predicted, Prediction]:
        """Correct x_t by equation (3), then predict x_s by (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        point_t, point_s = Point.of(level_t), Point.of(level_s)
        if memory.points:
            newest, *known = self._corrector(memory.points, point_t)
            x = torch.add(x, prediction.x0, alpha=newest)  # (3)
            pairs = zip(known, memory.weights, memory.data, strict=False)
            for corrected, weight, past in pairs:
                x = torch.add(x, past, alpha=corrected - weight)
        finite = [k for k, point in enumerate(memory.points) if point.alpha > 0]
        data = (prediction.x0, *(memory.data[k] for k in finite))[: self.terms]
        points = (point_t, *(memory.points[k] for k in finite))[: self.terms]
        if point_s.sigma == 0:
            return carry(x, prediction.x0, level_t, level_s), Predicted(), prediction
        weights = self._predictor(points, point_s)
        x_s = (point_s.sigma / point_t.sigma) * x  # (2)
        for weight, past in zip(weights, data, strict=True):
            x_s = torch.add(x_s, past, alpha=weight)
        return x_s, Predicted(data, points, tuple(weights)), prediction

    def _predictor(self, points: Sequence[Point], point_s: Point) -> list[float]:
        """Weights w of D_t, D_1, ... in (2)."""
        point_t = points[0]
        if len(points) > 2:
            nodes = tuple(point.half_log_snr for point in points)
            return _exponential(nodes, point_t, point_s)
        euler = point_s.alpha - point_s.sigma / point_t.sigma * point_t.alpha
        if len(points) == 1:
            return [euler]
        h = point_s.half_log_snr - point_t.half_log_snr
        r_1 = (point_t.half_log_snr - points[1].half_log_snr) / h
        slope = point_s.alpha * self._b(h) / (2 * r_1)  # (4)
        return [euler + slope, -slope]

    def _corrector(self, points: Sequence[Point], point_s: Point) -> list[float]:
        """Weights v of D_s, D_t, D_1, ... in (3)."""
        point_t = points[0]
        if len(points) > 1:
            nodes = tuple(point.half_log_snr for point in (point_s, *points))
            return _exponential(nodes, point_t, point_s)
        euler = point_s.alpha - point_s.sigma / point_t.sigma * point_t.alpha
        slope = point_s.alpha * self._b(point_s.half_log_snr - point_t.half_log_snr) / 2  # (5)
        return [slope, euler - slope]

    def _b(self, h: float) -> float:
        return h if self.variant == "bh1" and h < math.inf else -math.expm1(-h)


@dataclass(frozen=True)
class UniPC3(UniPC2):
    """UniPC-3: fourth order with a history, third as started, one evaluation per step."""

    name: ClassVar[str] = "unipc"
    order: ClassVar[int] = 4
    terms: ClassVar[int] = 3


@lru_cache(maxsize=1024)  # every batch of a request walks the same grid
def _exponential(nodes: tuple[float, ...], point_t: Point, point_s: Point) -> list[float]:
    """Weights of (2) through these nodes, for a step from ``point_t`` to ``point_s``."""
    places, masses = legendre(point_t.half_log_snr, point_s.half_log_snr)
    measured = zip(places, masses, strict=True)
    # sigma_s e^lambda is alpha_s at the end of the step: written so, nothing overflows.
    masses = [
        point_s.alpha * mass * math.exp(place - point_s.half_log_snr) for place, mass in measured
    ]
    return lagrange_integrals(nodes, places, masses)
