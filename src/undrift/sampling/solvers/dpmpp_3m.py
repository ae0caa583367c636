"""DPM-Solver++(3M): three-step exponential integrator in the half log-SNR, also with new noise.

With ``lambda = log(alpha / sigma)``, h the length of a step, and D taken as the parabola through
its last three values, ``D(lambda_t + theta h) = D_0 + theta d_1 + theta^2 d_2``, the weights of (2)
of ``solvers/multistep.py`` are those of

    sum_j w_j D_j = (1 - e^-q) D_0 + phi d_1 + psi d_2                                    (1)
    phi = 1 - (1 - e^-q) / q,    psi = 1 - 2 phi / q                                      (2)

With r_1, r_2 the lengths of the two steps before, in units of h, the divided differences are

    q_1 = (D_0 - D_1) / r_1,   q_2 = (D_1 - D_2) / r_2                                    (3)
    d_2 = (q_1 - q_2) / (r_1 + r_2),   d_1 = q_1 + r_1 d_2                                (4)

Reference: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", section 4 and appendix. As k-diffusion (``dpmpp_3m_sde``) and diffusers write the
third-order update, d_2 is weighted with psi / 2: as if the second derivative were wanted, not half
of it. That leaves a method of second order; `DPMpp3MKD` is it.

The first step has no history: it is Euler's; the second one, and one after a step that began at
alpha = 0, have a term less. Third order on grids whose steps are short in lambda, so not from
alpha = 0 on, where all are long at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from undrift.diffusion import NoiseSchedule
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.multistep import DataMultistep
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.renewal import check_noise


@dataclass(frozen=True)
class DPMpp3M(DataMultistep):
    """Third order with a history, second as started, one evaluation per step."""

    facts = Facts("dpmpp_3m", order=3, order_as_started=2)
    terms: ClassVar[int] = 3
    curvature: ClassVar[float] = 1.0
    """Share of psi that the curvature d_2 is given."""

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> tuple[float, ...]:
        """Return the factors of D_0, D_1 and D_2 in (1); as many as are known."""
        h, q, gain = self.gain(points, point_s)
        if len(points) < 2:
            return (gain,)
        known = [point.half_log_snr for point in points]
        phi = 1 - gain / q  # (2)
        r_1 = (known[0] - known[1]) / h
        if len(points) < 3:
            return gain + phi / r_1, -phi / r_1
        r_2 = (known[1] - known[2]) / h
        psi = self.curvature * (1 - 2 * phi / q)  # (2)
        bend = (r_1 * phi + psi) / (r_1 + r_2)  # factor of q_1 - q_2, by (4)
        slope = phi + bend  # factor of q_1
        return gain + slope / r_1, -slope / r_1 - bend / r_2, bend / r_2  # (3)


@dataclass(frozen=True)
class DPMpp3MKD(DPMpp3M):
    """As k-diffusion and diffusers have it: half the curvature, second order."""

    facts = Facts("dpmpp_3m_kd", order=2, order_as_started=2)
    curvature: ClassVar[float] = 0.5


@dataclass(frozen=True)
class DPMpp3MSDE(DPMpp3M):
    """The same with new noise: second order in law, third at eta = 0.

    Attributes:
        eta: 0 is deterministic, `DPMpp3M`; 1 is the usual SDE.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta or s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    facts = Facts("dpmpp_3m_sde", order=2, order_as_started=2, stochastic=True, number="eta")

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise)
