"""DPM-Solver++(3M): three-step exponential integrator in the half log-SNR.

With ``lambda = log(alpha / sigma)``, ``h = lambda_s - lambda_t`` and D taken as the parabola
through its last three values, ``D(lambda_t + theta h) = D_t + theta d_1 + theta^2 d_2``, the path's
equation has the solution

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - sigma_s alpha_t / sigma_t) D_t
          + alpha_s (phi d_1 + psi d_2)                                                   (1)
    phi = 1 - (1 - e^-h) / h,    psi = 1 - 2 phi / h                                      (2)

With r_1, r_2 the lengths of the two steps before, in units of h, the divided differences are

    q_1 = (D_t - D_1) / r_1,   q_2 = (D_1 - D_2) / r_2                                    (3)
    d_2 = (q_1 - q_2) / (r_1 + r_2),   d_1 = q_1 + r_1 d_2                                (4)

Reference: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", section 4 and appendix. As k-diffusion (``dpmpp_3m_sde`` without noise) and diffusers
write the third-order update, d_2 is weighted with psi / 2: as if the second derivative, not half
of it, had been asked for. That leaves a method of second order; `DPMpp3MKD` is it.

The first step has no history, the last none that helps, and neither has the one after a step that
began at alpha = 0, whose length is infinite: there the rule has a term less. Third order on grids
whose steps are short in lambda, so not from alpha = 0 on, where all are long at first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.point import Point


@dataclass(frozen=True)
class DataHistory:
    """The denoised images so far, newest first, and where they were made."""

    data: tuple[Tensor, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class DPMpp3M:
    """Third order with a history, second as started, one evaluation per step."""

    name: ClassVar[str] = "dpmpp_3m"
    order: ClassVar[int] = 3
    order_as_started: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = False
    curvature: ClassVar[float] = 1.0
    """Share of psi that the curvature d_2 is given."""

    def start(self, x: Tensor, schedule: NoiseSchedule) -> DataHistory:
        """There is no evaluation yet."""
        return DataHistory((), ())

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: DataHistory,
        draw: Draw,
    ) -> tuple[Tensor, DataHistory, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        point_t, point_s = Point.of(level_t), Point.of(level_s)
        data = (prediction.x0, *memory.data)[:3]
        points = (point_t, *memory.points)[:3]
        x_s = carry(x, prediction.x0, level_t, level_s)
        if point_s.sigma > 0:
            half_log_snrs = [point.half_log_snr for point in points if point.alpha > 0]
            weights = self._weights(half_log_snrs, point_s.half_log_snr)
            for weight, past in zip(weights, data, strict=False):
                x_s = torch.add(x_s, past, alpha=point_s.alpha * weight)
        return x_s, DataHistory(data, points), prediction

    def _weights(self, known: list[float], target: float) -> tuple[float, ...]:
        """Factors of D_t, D_1 and D_2 in ``phi d_1 + psi d_2``; as many as are known."""
        if len(known) < 2:
            return ()
        h = target - known[0]
        phi = 1 + math.expm1(-h) / h  # (2)
        r_1 = (known[0] - known[1]) / h
        if len(known) < 3:
            return phi / r_1, -phi / r_1
        r_2 = (known[1] - known[2]) / h
        psi = self.curvature * (1 - 2 * phi / h)  # (2)
        bend = (r_1 * phi + psi) / (r_1 + r_2)  # factor of q_1 - q_2, by (4)
        slope = phi + bend  # factor of q_1
        return slope / r_1, -slope / r_1 - bend / r_2, bend / r_2  # (3)


@dataclass(frozen=True)
class DPMpp3MKD(DPMpp3M):
    """As k-diffusion and diffusers have it: half the curvature, second order."""

    name: ClassVar[str] = "dpmpp_3m_kd"
    order: ClassVar[int] = 2
    curvature: ClassVar[float] = 0.5
