"""DPM-Solver++(3M) for the SDE: D extrapolated along a parabola through three evaluations.

The exact solution is that of ``solvers/dpmpp_2m_sde.py``. With D'(lambda) and D''(lambda) from the
last three evaluations, times h and h^2 for a step of length h, and ``q = (1 + eta) h``,

    x_s = (kept / sigma_t) x_t + (alpha_s - kept alpha_t / sigma_t) D_t
          + alpha_s (phi_1 D' + phi_2 D'') + fresh z                                      (1)
    phi_1 = 1 - (1 - e^-q) / q,      phi_2 = 1/2 - phi_1 / q                              (2)

where, for evaluations h_1 and h_1 + h_2 back,

    d_1 = (D_t - D_1) h / h_1,       d_2 = (D_1 - D_2) h / h_2,
    D'' = 2 (d_1 - d_2) h / (h_1 + h_2),      D' = d_1 + (d_1 - d_2) h_1 / (h_1 + h_2)    (3)

k-diffusion's ``dpmpp_3m_sde`` leaves out the 2 in D'': a parabola's second derivative is twice its
second divided difference, and without it the rule is of the second order at eta = 0, not the third.
The second step has one evaluation behind it, D'' = 0 and D' = d_1; the first has none; the last, to
sigma = 0, is D_t.

Reference: Lu et al. 2022, "DPM-Solver++", appendix B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.dpmpp import LastEvaluation
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import check_noise, diffused


@dataclass(frozen=True)
class DPMpp3MSDE:
    """Second order in law for one evaluation per step; third at eta = 0.

    Attributes:
        eta: 0 is deterministic, DPM-Solver++(3M); 1 is the usual SDE.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta or s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    name: ClassVar[str] = "dpmpp_3m_sde"
    order: ClassVar[int] = 2
    order_as_started: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise)

    def start(self, x: Tensor, schedule: NoiseSchedule) -> tuple[LastEvaluation, ...]:
        """There is no evaluation yet."""
        return ()

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: tuple[LastEvaluation, ...],
        draw: Draw,
    ) -> tuple[Tensor, tuple[LastEvaluation, ...], Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        renewal = diffused(level_t, level_s, self.eta)
        x_s = carry(x, prediction.x0, level_t, renewal.kept)
        if memory and level_s.sigma > 0:
            q = (1 + self.eta) * (level_s.log_snr - level_t.log_snr) / 2
            phi_1 = 1 + torch.expm1(-q) / q
            phi_2 = 1 / 2 - phi_1 / q  # (2)
            slope, bend = _derivatives(prediction.x0, level_t, level_s, memory)
            x_s = x_s + level_s.alpha * (phi_1 * slope + phi_2 * bend)
        x_s = renewal.onto(x_s, draw, self.s_noise)  # (1)
        return x_s, (LastEvaluation(prediction.x0, level_t), *memory[:1]), prediction


def _derivatives(
    x0: Tensor, level_t: Level, level_s: Level, memory: tuple[LastEvaluation, ...]
) -> tuple[Tensor, Tensor]:
    """D' and D'' (3), times h and h^2; a history that began at alpha = 0 counts for nothing."""
    last = memory[0]
    step = level_s.log_snr - level_t.log_snr
    r_1 = (level_t.log_snr - last.level.log_snr) / step
    d_1 = (x0 - last.x0) / r_1
    if len(memory) == 1:
        return d_1, torch.zeros_like(d_1)
    r_2 = (last.level.log_snr - memory[1].level.log_snr) / step
    d_2 = (last.x0 - memory[1].x0) / r_2
    return d_1 + (d_1 - d_2) * r_1 / (r_1 + r_2), 2 * (d_1 - d_2) / (r_1 + r_2)  # (3)
