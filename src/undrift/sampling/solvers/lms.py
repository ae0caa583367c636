"""LMS: Adams-Bashforth in ``r = sigma / alpha``, with the coefficients of the steps as they are.

    y_s = y_t + sum_j w_j eps_j,      w_j = int_{r_t}^{r_s} L_j(r) dr                     (1)

in ``y = x / alpha``; ``L_j`` the Lagrange polynomials through the last four r. The rule that
k-diffusion calls ``lms``, and others iPNDM with variable steps. Reference: Katherine Crowson,
k-diffusion, 2022; Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", III.5.

Fourth order on grids that begin at a finite r. An evaluation made at alpha = 0, where r is
infinite, cannot be interpolated and is left out; near it a polynomial in r describes the noise
badly, and what begins there is of second order as a whole. Its own start, Euler's step and then
the shorter formulas, costs two orders as well, though not many digits: the first steps are those
in which the noise hardly changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from undrift.diffusion import NoiseSchedule
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.multistep import NoiseMultistep
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.quadrature import lagrange_integrals, legendre


@dataclass(frozen=True)
class LMS(NoiseMultistep):
    """Fourth order with a history, second as started, one evaluation per step."""

    facts = Facts("lms", order=4, order_as_started=2)
    terms: ClassVar[int] = 4

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return the weights of (1)."""
        nodes = [point.ratio for point in points if point.alpha > 0]
        places, masses = legendre(nodes[0], point_s.ratio, 2)  # exact for cubics
        return lagrange_integrals(nodes, places, masses)  # (1)
