"""DPM-Solver++(2S): the exponential midpoint rule in the half log-SNR.

With ``lambda = log(alpha / sigma)`` the path's equation has the exact solution

    x_s = (sigma_s / sigma_t) x_t + sigma_s int_{lambda_t}^{lambda_s} e^lambda D d lambda

in which D is held at its value in the middle m of the step, where Euler's step lands:

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - sigma_s alpha_t / sigma_t) D_m             (1)

Reference: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", algorithm 1 with r_1 = 1/2; k-diffusion's ``dpmpp_2s_ancestral`` without noise. A step from
alpha = 0 or to sigma = 0 has no middle in lambda: it is Euler's.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, OnPath
from undrift.sampling.solvers.dpm_2 import middle
from undrift.sampling.solvers.euler import carry


@dataclass(frozen=True)
class DPMpp2S(OnPath):
    """Second order, two evaluations per step, one in the last."""

    facts = Facts("dpmpp_2s", order=2, order_as_started=2, evaluations_per_step=2)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: NoiseSchedule,
        draw: Draw,
    ) -> tuple[Tensor, NoiseSchedule, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        if level_t.alpha == 0 or level_s.sigma == 0:
            return carry(x, prediction.x0, level_t, level_s), memory, prediction
        level_m = middle(memory, level_t, level_s)
        x_m = carry(x, prediction.x0, level_t, level_m)
        ahead = denoise(x_m, level_m.t)
        return carry(x, ahead.x0, level_t, level_s), memory, prediction  # (1)
