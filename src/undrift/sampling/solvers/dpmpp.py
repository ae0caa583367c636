"""DPM-Solver++(2M): two-step exponential integrator in the half log-SNR.

With ``lambda = log(alpha / sigma)`` the path's equation has the exact solution

    x_s = (sigma_s / sigma_t) x_t + sigma_s int_{lambda_t}^{lambda_s} e^lambda D d lambda

whose linear part needs no approximation. Extrapolating D to the middle of the step from the last
two evaluations, h = lambda_s - lambda_t apart, gives

    D' = D_t + h / (2 h_before) (D_t - D_before)                                      (1)
    x_s = (sigma_s / sigma_t) x_t + (alpha_s - sigma_s alpha_t / sigma_t) D'           (2)

Reference: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", algorithm 2. The first step has no history and the last none that helps (h is infinite at
sigma = 0): there D' = D_t, Euler's step. A step that began at alpha = 0 was infinitely long, so the
one after it extrapolates by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.euler import carry


@dataclass(frozen=True)
class LastEvaluation:
    """What a two-step rule remembers: the previous denoised images and where they were made."""

    x0: Tensor
    level: Level


@dataclass(frozen=True)
class DPMpp2M:
    """Second order for one evaluation per step; the default sampler."""

    name: ClassVar[str] = "dpmpp_2m"
    order: ClassVar[int] = 2
    order_as_started: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = False

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
        """One step of equation (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        x0 = prediction.x0
        if memory is not None and level_s.sigma > 0:
            step = level_s.log_snr - level_t.log_snr
            step_before = level_t.log_snr - memory.level.log_snr
            x0 = x0 + step / (2 * step_before) * (x0 - memory.x0)  # (1)
        x_s = carry(x, x0, level_t, level_s)  # (2)
        return x_s, LastEvaluation(prediction.x0, level_t), prediction
