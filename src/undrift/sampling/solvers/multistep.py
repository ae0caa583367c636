"""Explicit multistep rules in the noise, in the coordinates ``(x / alpha, sigma / alpha)``.

With ``y = x / alpha`` and ``r = sigma / alpha`` the path's equation reads ``dy / dr = eps``, where
``eps = (x_t - alpha_t D) / sigma_t`` is the predicted noise. A rule of k terms goes from t to s by

    y_s = y_t + sum_j w_j eps_j,         sum_j w_j = r_s - r_t,                           (1)

with eps_0 the noise predicted now and eps_1, eps_2, ... those before; rules differ in their
weights alone. Since ``y_t = D + r_t eps_0``,

    x_s = alpha_s [D + (r_t + w_0) eps_0 + w_1 eps_1 + ...]                               (2)

At alpha_t = 0, where r_t is infinite, and at sigma_s = 0, where the noise says nothing any more
of what is left to find, the step is Euler's: the first keeps x_s finite, the second lands on D.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.point import Point


@dataclass(frozen=True)
class NoiseHistory:
    """The noises predicted so far, newest first, where they were, and on which path."""

    noises: tuple[Tensor, ...]
    points: tuple[Point, ...]
    schedule: NoiseSchedule


@dataclass(frozen=True)
class NoiseMultistep(ABC):
    """What the rules of the module have in common.

    Attributes:
        terms: the most noises that a step is made of.
    """

    terms: ClassVar[int]
    evaluations_per_step: ClassVar[int] = 1
    stochastic: ClassVar[bool] = False

    @abstractmethod
    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> list[float]:
        """Return ``w_0, w_1, ...`` of (1), for as many of the points as the rule uses.

        Args:
            points: where the noises were predicted, newest first; alpha > 0 at the newest.
            point_s: where the step ends, sigma > 0.
            schedule: the path.
        """

    def start(self, x: Tensor, schedule: NoiseSchedule) -> NoiseHistory:
        """There is no noise yet."""
        return NoiseHistory((), (), schedule)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: NoiseHistory,
        draw: Draw,
    ) -> tuple[Tensor, NoiseHistory, Prediction]:
        """One step of equation (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        point_t, point_s = Point.of(level_t), Point.of(level_s)
        noise = torch.sub(x, prediction.x0, alpha=point_t.alpha) / point_t.sigma
        noises = (noise, *memory.noises)[: self.terms]
        points = (point_t, *memory.points)[: self.terms]
        if point_t.alpha == 0 or point_s.sigma == 0:
            x_s = carry(x, prediction.x0, level_t, level_s)
        else:
            newest, *older = self.weights(points, point_s, memory.schedule)
            x_s = point_s.alpha * prediction.x0  # (2)
            for weight, past in zip((point_t.ratio + newest, *older), noises, strict=False):
                x_s = torch.add(x_s, past, alpha=point_s.alpha * weight)
        return x_s, NoiseHistory(noises, points, memory.schedule), prediction
