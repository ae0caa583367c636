"""DPM-Solver++(2M): two-step exponential integrator in the half log-SNR, with or without new noise.

With ``lambda = log(alpha / sigma)``, h the length of a step and h_1 that of the one before, D is
extrapolated from its last two values to its mean over the step, with the weights of (2) of
``solvers/multistep.py``

    w_0 = (1 - e^-q) (1 + c h / h_1),     w_1 = -(1 - e^-q) c h / h_1                     (1)
    midpoint    c = 1 / 2                                                                 (2)
    heun        c = 1 / (1 - e^-q) - 1 / q                                                (3)

(3) is the mean of a line exactly, (2) its value in the middle of the step; c - 1/2 is of order q.
The first step has no history: it is Euler's, and so is the one after a step that began at alpha =
0, which was infinitely long.

References: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
Probabilistic Models", algorithm 2 and section 4.3; (3) is what k-diffusion calls
``solver_type='heun'``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.solver import Facts
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.multistep import DataMultistep
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.renewal import check_noise


@dataclass(frozen=True)
class DPMpp2M(DataMultistep):
    """Second order for one evaluation per step; the default sampler."""

    facts = Facts("dpmpp_2m", order=2, order_as_started=2)
    terms: ClassVar[int] = 2
    mean = "midpoint"

    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return the weights (1)."""
        h, q, gain = self.gain(points, point_s)
        if len(points) < 2:
            return [gain]
        c = 1 / gain - 1 / q if self.mean == "heun" else 1 / 2  # (2), (3)
        lead = c * h / (points[0].half_log_snr - points[1].half_log_snr)
        return [gain * (1 + lead), -gain * lead]  # (1)

    def combined(
        self,
        x: Tensor,
        data: Sequence[Tensor],
        weights: Sequence[float],
        level_t: Level,
        kept: Level,
    ) -> Tensor:
        """Return the step with the extrapolated image, as the paper's algorithm takes it."""
        mean = data[0]
        if len(weights) > 1:
            mean = mean - weights[1] / sum(weights) * (data[0] - data[1])
        return carry(x, mean, level_t, kept)


@dataclass(frozen=True)
class DPMpp2MSDE(DPMpp2M):
    """The same with new noise: second order in law.

    Attributes:
        eta: 0 is deterministic, `DPMpp2M`; 1 is the usual SDE.
        s_noise: new noise in units of what is right.
        mean: how the extrapolated D is averaged over the step, ``"midpoint"`` or ``"heun"``.

    Raises:
        UsageError: for an eta or s_noise below 0, or any other mean.
    """

    eta: float = 1.0
    s_noise: float = 1.0
    mean: Literal["midpoint", "heun"] = "midpoint"

    facts = Facts("dpmpp_2m_sde", order=2, order_as_started=2, stochastic=True, number="eta")

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise)
        if self.mean not in ("midpoint", "heun"):
            raise UsageError(f"{self.name} mean {self.mean!r}: give 'midpoint' or 'heun'")
