"""DPM-Solver++(2M) for the SDE: the two-step exponential integrator, with noise drawn anew.

In the half log-SNR ``lambda`` the reverse SDE with noise ``2 eta d lambda`` has the exact solution

    x_s = (kept / sigma_t) x_t + (alpha_s - kept alpha_t / sigma_t) <D> + fresh z         (1)

with kept and fresh those of ``solvers/renewal.py`` (2), and <D> the mean of D over the step under
the weight ``exp((1 + eta) lambda)``. D is extrapolated along a straight line through the last two
evaluations. With ``h = lambda_s - lambda_t``, ``q = (1 + eta) h``,

    midpoint    <D> = D_t + h / (2 h_before) (D_t - D_before)                             (2)
    heun        <D> = D_t + c h / h_before (D_t - D_before),
                c = 1 / (1 - e^-q) - 1 / q                                                (3)

(3) is the line's exact mean, (2) its value in the middle of the step; c - 1/2 is of order q. With
eta = 0 and (2) this is ``dpmpp_2m``. The first step has no history, the last, to sigma = 0, is D_t.

References: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
Probabilistic Models", section 4.3; (3) is what k-diffusion calls ``solver_type='heun'``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.dpmpp import LastEvaluation
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import check_noise, diffused


@dataclass(frozen=True)
class DPMpp2MSDE:
    """Second order in law for one evaluation per step.

    Attributes:
        eta: 0 is deterministic, DPM-Solver++(2M); 1 is the usual SDE.
        s_noise: new noise in units of what is right.
        mean: how the extrapolated D is averaged over the step, ``"midpoint"`` or ``"heun"``.

    Raises:
        UsageError: for an eta or s_noise below 0, or any other mean.
    """

    eta: float = 1.0
    s_noise: float = 1.0
    mean: Literal["midpoint", "heun"] = "midpoint"

    name: ClassVar[str] = "dpmpp_2m_sde"
    order: ClassVar[int] = 2
    order_as_started: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise)
        if self.mean not in ("midpoint", "heun"):
            raise UsageError(f"{self.name} mean {self.mean!r}: give 'midpoint' or 'heun'")

    def start(self, x: Tensor, schedule: NoiseSchedule) -> LastEvaluation | None:
        """There is no evaluation yet."""
        return None

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: LastEvaluation | None,
        draw: Draw,
    ) -> tuple[Tensor, LastEvaluation | None, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        x0 = prediction.x0
        if memory is not None and level_s.sigma > 0:
            step = level_s.log_snr - level_t.log_snr  # 2 h
            step_before = level_t.log_snr - memory.level.log_snr
            if self.mean == "heun":
                q = (1 + self.eta) * step / 2
                c = -1 / torch.expm1(-q) - 1 / q
                x0 = x0 + c * step / step_before * (x0 - memory.x0)  # (3)
            else:
                x0 = x0 + step / (2 * step_before) * (x0 - memory.x0)  # (2)
        renewal = diffused(level_t, level_s, self.eta)
        x_s = carry(x, x0, level_t, renewal.kept)
        x_s = renewal.onto(x_s, draw, self.s_noise)  # (1)
        return x_s, LastEvaluation(prediction.x0, level_t), prediction
