"""iPNDM: Adams-Bashforth with the constant coefficients of equal steps.

    y_s = y_t + (r_s - r_t) (55 eps_0 - 59 eps_1 + 37 eps_2 - 9 eps_3) / 24               (1)

in ``y = x / alpha`` and ``r = sigma / alpha``, eps_j the noise predicted j steps ago; the first
three steps use the shorter formulas of the same family. Reference: Zhang and Chen 2023, "Fast
Sampling of Diffusion Models with Exponential Integrator", the "improved" PNDM of their appendix;
with the coefficients of Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on
Manifolds", eq. 9. The same step as PNDM's after its Runge-Kutta start.

The coefficients are those of equal steps in r, and the steps of a sampling grid are not equal: on
a smooth grid, where neighbouring steps differ little, the rule is of second order, whatever the
number of its terms; on a grid whose steps jump it is of first. Its constant for smooth
trajectories is small, which is why it does well at few steps. `LMS` is the same family with the
coefficients of the steps as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from undrift.diffusion import NoiseSchedule
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.multistep import NoiseMultistep
from undrift.sampling.solvers.point import Point

_COEFFICIENTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@dataclass(frozen=True)
class IPNDM(NoiseMultistep):
    """Four terms, of second order on smooth grids, one evaluation per step."""

    facts = Facts("ipndm", order=2, order_as_started=2)
    terms: ClassVar[int] = 4

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return the weights of (1), with as many terms as there are points."""
        step = point_s.ratio - points[0].ratio
        return [step * coefficient for coefficient in _COEFFICIENTS[len(points) - 1]]  # (1)
