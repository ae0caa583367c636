"""Linear multistep rules, in the coordinates ``y = x / alpha`` and ``r = sigma / alpha``.

A step from t to s combines what the last evaluations gave; rules differ in their weights alone,
which follow from where the evaluations were made. With D the denoised image and ``eps = (x_t -
alpha_t D) / sigma_t`` the predicted noise, the path's equation reads ``dy / dr = eps``. Index 0 is
the evaluation at t, 1, 2, ... are those before.

Rules in the noise (`NoiseMultistep`):

    y_s = y_t + sum_j w_j eps_j,                  sum_j w_j = r_s - r_t                   (1)

Rules in the data (`DataMultistep`), which solve the linear part of the equation exactly, with
``lambda = -log r``, ``h = lambda_s - lambda_t`` and the noise of a step renewed in the share eta:

    y_s = e^-q y_t + sum_j w_j D_j + fresh z,     sum_j w_j = 1 - e^-q,   q = (1 + eta) h (2)

Since ``y_t = D_0 + r_t eps_0``, (1) needs no division by alpha_t, which may be small:

    x_s = alpha_s [D_0 + (r_t + w_0) eps_0 + w_1 eps_1 + ...]                             (3)

At sigma_s = 0 both return D_0, as no history helps over an infinite step in lambda. A step from
alpha_t = 0, where r_t is infinite, is Euler's; what was evaluated there is left out of (2) later.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Solver
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.point import Point
from undrift.sampling.solvers.renewal import diffused


@dataclass(frozen=True)
class History:
    """The last evaluations, newest first.

    Attributes:
        values: denoised images, or predicted noises, each (B, ...).
        points: where they were made.
        schedule: the path.
        weights: those of the last step.
    """

    values: tuple[Tensor, ...]
    points: tuple[Point, ...]
    schedule: NoiseSchedule
    weights: tuple[float, ...] = ()


class Multistep(Solver[History]):
    """What the rules of the module have in common.

    Attributes:
        terms: the most evaluations that a step is made of.
    """

    terms: ClassVar[int]

    @abstractmethod
    def weights(
        self, points: Sequence[Point], point_s: Point, schedule: NoiseSchedule
    ) -> Sequence[float]:
        """Return ``w_0, w_1, ...`` of (1) or (2), for as many of the points as the rule uses.

        Args:
            points: where the evaluations were made, newest first.
            point_s: where the step ends, sigma > 0.
            schedule: the path.
        """

    def start(self, x: Tensor, schedule: NoiseSchedule) -> History:
        """There is no evaluation yet."""
        return History((), (), schedule)


class NoiseMultistep(Multistep):
    """Rules of form (1); ``weights`` is called where the newest alpha is above 0."""

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: History,
        draw: Draw,
    ) -> tuple[Tensor, History, Prediction]:
        """One step of equation (3); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        point_t, point_s = Point.of(level_t), Point.of(level_s)
        noise = torch.sub(x, prediction.x0, alpha=point_t.alpha) / point_t.sigma
        noises = (noise, *memory.values)[: self.terms]
        points = (point_t, *memory.points)[: self.terms]
        if point_t.alpha == 0 or point_s.sigma == 0:
            x_s = carry(x, prediction.x0, level_t, level_s)
        else:
            newest, *older = self.weights(points, point_s, memory.schedule)
            x_s = point_s.alpha * prediction.x0  # (3)
            for weight, past in zip((point_t.ratio + newest, *older), noises, strict=False):
                x_s = torch.add(x_s, past, alpha=point_s.alpha * weight)
        return x_s, History(noises, points, memory.schedule), prediction


class DataMultistep(Multistep):
    """Rules of form (2); of the points that ``weights`` gets, only the newest may have alpha = 0.

    Attributes:
        eta: share of the noise that a step renews, as in ``solvers/renewal.py``; 0 is the ODE.
        s_noise: new noise in units of what is right.
    """

    eta: float = 0.0
    s_noise: float = 1.0

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: History,
        draw: Draw,
    ) -> tuple[Tensor, History, Prediction]:
        """One step of equation (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        point_t, point_s = Point.of(level_t), Point.of(level_s)
        x = self.corrected(x, prediction.x0, memory, point_t)
        known = sum(point.alpha > 0 for point in memory.points)  # at alpha = 0 was the oldest
        data = (prediction.x0, *memory.values[:known])[: self.terms]
        points = (point_t, *memory.points[:known])[: self.terms]
        weights = (1.0,)
        if point_s.sigma > 0:
            weights = tuple(self.weights(points, point_s, memory.schedule))
        renewal = diffused(level_t, level_s, self.eta) if self.eta > 0 else None
        x_s = self.combined(x, data, weights, level_t, renewal.kept if renewal else level_s)
        if renewal is not None:
            x_s = renewal.onto(x_s, draw, self.s_noise)
        return x_s, History(data, points, memory.schedule, weights), prediction

    def combined(
        self,
        x: Tensor,
        data: Sequence[Tensor],
        weights: Sequence[float],
        level_t: Level,
        kept: Level,
    ) -> Tensor:
        """Return (2) but for the new noise; ``kept`` is the end with the old noise alone."""
        x_s = (float(kept.sigma) / float(level_t.sigma)) * x  # (2)
        for weight, past in zip(weights, data, strict=False):
            x_s = torch.add(x_s, past, alpha=float(kept.alpha) * weight)
        return x_s

    def corrected(self, x: Tensor, x0: Tensor, memory: History, point_t: Point) -> Tensor:
        """Return the state (B, ...) at ``point_t``, now that its denoised image ``x0`` is known."""
        return x

    def gain(self, points: Sequence[Point], point_s: Point) -> tuple[float, float, float]:
        """Return ``h``, ``q`` and ``1 - e^-q`` of (2); infinite, infinite and 1 from alpha = 0."""
        h = point_s.half_log_snr - points[0].half_log_snr
        q = (1 + self.eta) * h
        return h, q, -math.expm1(-q)
