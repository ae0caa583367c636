"""DEIS: the predicted noise as a polynomial, integrated exactly along the path.

    y_s = y_t + sum_j w_j eps_j,      w_j = int_{r_t}^{r_s} L_j(xi(r)) dr                 (1)

in ``y = x / alpha`` and ``r = sigma / alpha``; ``L_j`` the Lagrange polynomials in ``xi`` through
the last three evaluations. Two choices of xi:

    tAB3        xi = t, the path's own time                                               (2)
    log-rho     xi = log r, the only one that diffusers has                               (3)

Reference: Zhang and Chen 2023, "Fast Sampling of Diffusion Models with Exponential Integrator",
eq. 15 and section 4 (tAB), and its appendix on rho-space.

Both are of third order with a history, on grids whose steps are short in xi; tAB3 from alpha = 0
on too, where t, unlike r and log r, is an ordinary number. In (3) an evaluation made there is left
out. Started by themselves, with Euler's step, both are of second order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch

from undrift.diffusion import NoiseSchedule
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.multistep import NoiseMultistep
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.quadrature import lagrange_integrals, legendre


@dataclass(frozen=True)
class DEIS(NoiseMultistep):
    """tAB3: third order with a history, second as started, one evaluation per step."""

    facts = Facts("deis", order=3, order_as_started=2)
    terms: ClassVar[int] = 3

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return the weights of (1) with (2)."""
        return _in_time(tuple(points), point_s, schedule)


@dataclass(frozen=True)
class DEISLogRho(NoiseMultistep):
    """Log-rho: third order with a history, second as started, one evaluation per step."""

    facts = Facts("deis_logrho", order=3, order_as_started=2)
    terms: ClassVar[int] = 3

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return the weights of (1) with (3)."""
        return _in_log_ratio(tuple(points), point_s)


# Every batch of a request has the same grid: its weights are computed once.
@lru_cache(maxsize=1024)
def _in_time(points: tuple[Point, ...], point_s: Point, schedule: NoiseSchedule) -> list[float]:
    """Weights (1) with (2)."""
    log_ratios, masses = _along(points[0], point_s)
    times = schedule.time_at(
        -2 * torch.tensor(log_ratios, dtype=torch.float64, device="cpu")
    ).tolist()
    return lagrange_integrals([point.t for point in points], times, masses)


@lru_cache(maxsize=1024)
def _in_log_ratio(points: tuple[Point, ...], point_s: Point) -> list[float]:
    """Weights (1) with (3)."""
    nodes = [-point.half_log_snr for point in points if point.alpha > 0]
    return lagrange_integrals(nodes, *_along(points[0], point_s))


def _along(point_t: Point, point_s: Point) -> tuple[list[float], list[float]]:
    """Places of a quadrature in log r, and their masses in r: dr = r dlog r."""
    log_ratios, masses = legendre(-point_t.half_log_snr, -point_s.half_log_snr, 12)
    measured = zip(log_ratios, masses, strict=True)
    return log_ratios, [mass * math.exp(place) for place, mass in measured]
