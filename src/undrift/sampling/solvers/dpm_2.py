"""DPM-Solver-2: the midpoint rule in ``(x / alpha, sigma / alpha)``, its middle in the log.

With ``y = x / alpha`` and ``r = sigma / alpha`` the path's equation reads ``dy / dr = eps``, where
``eps = (x_t - alpha_t D) / sigma_t`` is the predicted noise. Euler's step to the middle m, at
``log r_m = (log r_t + log r_s) / 2``, and from there

    y_s = y_t + (r_s - r_t) eps_m                                                         (1)
    x_s = alpha_s [D_t + r_t eps_t + (r_s - r_t) eps_m]                                   (2)

Reference: Lu et al. 2022, "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling
in Around 10 Steps", algorithm 1 with r_1 = 1/2; the sampler that k-diffusion calls ``dpm_2``. A
step from alpha = 0 or to sigma = 0 has no middle: it is Euler's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, OnPath
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.point import Point


def middle(schedule: NoiseSchedule, level_t: Level, level_s: Level) -> Level:
    """Return the level whose log-SNR lies half-way between those of two others."""
    return schedule(schedule.time_at((level_t.log_snr + level_s.log_snr) / 2))


@dataclass(frozen=True)
class DPM2(OnPath):
    """Second order, two evaluations per step, one in the last."""

    facts = Facts("dpm_2", order=2, order_as_started=2, evaluations_per_step=2)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: NoiseSchedule,
        draw: Draw,
    ) -> tuple[Tensor, NoiseSchedule, Prediction]:
        """One step of equation (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        x0 = prediction.x0
        if level_t.alpha == 0 or level_s.sigma == 0:
            return carry(x, x0, level_t, level_s), memory, prediction
        level_m = middle(memory, level_t, level_s)
        x_m = carry(x, x0, level_t, level_m)
        point_t, point_m, point_s = Point.of(level_t), Point.of(level_m), Point.of(level_s)
        ahead = denoise(x_m, level_m.t).x0
        noise_t = torch.sub(x, x0, alpha=point_t.alpha) / point_t.sigma
        noise_m = torch.sub(x_m, ahead, alpha=point_m.alpha) / point_m.sigma
        x_s = torch.add(x0, noise_t, alpha=point_t.ratio)
        x_s = torch.add(x_s, noise_m, alpha=point_s.ratio - point_t.ratio)
        return point_s.alpha * x_s, memory, prediction  # (2)
