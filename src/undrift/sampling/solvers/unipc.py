"""UniPC: predictor and corrector in the half log-SNR, for one evaluation per step.

With ``lambda = log(alpha / sigma)`` and ``y = x / alpha``, the path's equation is solved by

    y_s = e^-h y_t + int_{lambda_t}^{lambda_s} e^(lambda - lambda_s) D d lambda           (1)

with h = lambda_s - lambda_t. The predictor UniP-p replaces D by the polynomial in lambda through
its last p values,

    y_s = e^-h y_t + sum_j w_j D_j,       w_j = int L_j e^(lambda - lambda_s) d lambda    (2)

and the corrector UniC-p, once D_s is known, by the one through D_s as well, with weights v:

    y_s <- y_s + sum_j (v_j - w_j) D_j + v_s D_s                                          (3)

which costs no evaluation: D_s, made at the predicted x_s, also serves the next step. Where a
single number is left to solve for, the published rule takes 1/2 for it, with ``B = 1 - e^-h``
(bh2) or ``B = h`` (bh1):

    UniP-2  y_s = Euler's + B (D_t - D_1) / (2 r_1),   r_1 h = lambda_t - lambda_1        (4)
    UniC-1  y_s = Euler's + B (D_s - D_t) / 2                                             (5)

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

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.multistep import DataMultistep, History
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.quadrature import lagrange_integrals, legendre


@dataclass(frozen=True)
class UniPC2(DataMultistep):
    """UniPC-2: third order, also as started, one evaluation per step.

    Attributes:
        variant: ``"bh2"`` or ``"bh1"``.

    Raises:
        UsageError: for any other variant.
    """

    variant: Literal["bh1", "bh2"] = "bh2"

    facts = Facts("unipc_2", order=3, order_as_started=3)
    terms: ClassVar[int] = 2
    """The p of UniP-p and UniC-p."""

    def __post_init__(self) -> None:
        if self.variant not in ("bh1", "bh2"):
            raise UsageError(f"UniPC variant {self.variant!r}: give 'bh1' or 'bh2'")

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return w of (2)."""
        if len(points) > 2:
            return _exponential(tuple(points), points[0], point_s)
        h, _, gain = self.gain(points, point_s)
        if len(points) == 1:
            return [gain]
        r_1 = (points[0].half_log_snr - points[1].half_log_snr) / h
        slope = self._b(h) / (2 * r_1)  # (4)
        return [gain + slope, -slope]

    def corrected(self, x: Tensor, x0: Tensor, memory: History, point_t: Point) -> Tensor:
        """Return x_t corrected by (3); its last step is the one that ``memory`` is of."""
        if not memory.points:
            return x
        newest, *known = self._corrector(memory.points, point_t)
        x = torch.add(x, x0, alpha=point_t.alpha * newest)  # (3)
        for corrected, weight, past in zip(known, memory.weights, memory.values, strict=False):
            x = torch.add(x, past, alpha=point_t.alpha * (corrected - weight))
        return x

    def _corrector(self, points: Sequence[Point], point_s: Point) -> list[float]:
        """Weights v of D_s, D_t, D_1, ... in (3)."""
        if len(points) > 1:
            return _exponential((point_s, *points), points[0], point_s)
        h, _, gain = self.gain(points, point_s)
        slope = self._b(h) / 2  # (5)
        return [slope, gain - slope]

    def _b(self, h: float) -> float:
        return h if self.variant == "bh1" and h < math.inf else -math.expm1(-h)


@dataclass(frozen=True)
class UniPC3(UniPC2):
    """UniPC-3: fourth order with a history, third as started, one evaluation per step."""

    facts = Facts("unipc", order=4, order_as_started=3)
    terms: ClassVar[int] = 3


@lru_cache(maxsize=1024)  # every batch of a request has the same grid
def _exponential(points: tuple[Point, ...], point_t: Point, point_s: Point) -> list[float]:
    """Weights of (2) through these points, for a step from ``point_t`` to ``point_s``."""
    places, masses = legendre(point_t.half_log_snr, point_s.half_log_snr)
    measured = zip(places, masses, strict=True)
    # e^lambda over its value at the end of the step: written so, nothing overflows.
    masses = [mass * math.exp(place - point_s.half_log_snr) for place, mass in measured]
    return lagrange_integrals([point.half_log_snr for point in points], places, masses)
