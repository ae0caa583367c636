"""The solver that follows a table, and the tables of the solvers that are written as rules.

See `undrift.sampling.learned.table` for the equations. A rule's table is read off by running it:
the states are vectors of coordinates over (x_0, D_0, ..., D_{K-1}), and the denoiser returns the
k-th unit vector in its k-th call, whatever its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.errors import UsageError
from undrift.sampling.draw import StepDraw
from undrift.sampling.integrate import integrate
from undrift.sampling.learned.table import Table
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Solver

_CLOSE = 1e-9


@dataclass(frozen=True, eq=False)
class Tabled(Solver[tuple[Tensor, ...]]):
    """Takes the steps of a table, on the table's own times.

    A table is one grid: it has no limit of small steps, and so no order of convergence.

    Attributes:
        table: the numbers.
    """

    table: Table

    facts = Facts("learned", order=0, order_as_started=0)

    def start(self, x: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, ...]:
        """Nothing has been denoised yet."""
        return ()

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: tuple[Tensor, ...],
        draw: Draw,
    ) -> tuple[Tensor, tuple[Tensor, ...], Prediction]:
        """One step of equation (2); see `Solver.step`.

        Raises:
            UsageError: on a grid that is not the table's.
        """
        k, times = len(memory), self.table.times
        if k >= self.table.steps or level_t.t != times[k] or level_s.t != times[k + 1]:
            raise UsageError("a learned sampler has a grid of its own: integrate over table.times")
        prediction = denoise(x, self.table.model_times[k])  # (1)
        memory = (*memory, prediction.x0)
        x_s = (level_s.sigma / level_t.sigma) * x
        for c, x0 in zip(self.table.coefficients[k], memory, strict=False):
            x_s = x_s + c * x0  # (2)
        return x_s, memory, prediction


def follow(denoise: BoundDenoise, x: Tensor, table: Table, schedule: NoiseSchedule) -> Tensor:
    """Carry ``x`` (B, ...) from ``table.times[0]`` to 0; differentiable in the table's numbers."""
    rule = Tabled(table)
    levels = [schedule(t) for t in table.times]
    memory = rule.start(x, schedule)
    for level_t, level_s in pairwise(levels):
        x, memory, _ = rule.step(denoise, x, level_t, level_s, memory, StepDraw(None, 0, x))
    return x


def tabulate(rule: Solver[Any], schedule: NoiseSchedule, times: Tensor) -> Table:
    """The table of a rule on a grid.

    Args:
        rule: deterministic, one evaluation per step, and linear.
        schedule: the path.
        times: falling, float64, shape (K + 1,), the last exactly 0.

    Raises:
        UsageError: for a rule that has no table.
    """
    steps = len(times) - 1
    if rule.stochastic or rule.evaluations_per_step != 1:
        raise UsageError(f"{rule.name}: only deterministic rules of one evaluation have a table")
    states: list[Tensor] = []

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        image = torch.zeros_like(x)
        if len(states) < steps:
            image[0, len(states) + 1] = 1
        states.append(x)
        return Prediction(x, schedule(t), image)

    start = torch.zeros(1, steps + 1, dtype=torch.float64, device="cpu")
    start[0, 0] = 1
    end = integrate(denoise, start, times, rule, schedule=schedule)
    rows = torch.cat([*states, end])
    sigma = schedule(times).sigma
    shrink = sigma[1:] / sigma[:-1]
    taken = rows[1:] - shrink[:, None] * rows[:-1] if len(rows) == steps + 1 else rows[:0]
    if len(taken) != steps or not bool((taken[:, 0].abs() < _CLOSE).all()):
        raise UsageError(f"{rule.name}: it is not of the form x_s = (sigma_s / sigma_t) x_t + ...")
    return Table(times, times[:-1], taken[:, 1:].tril())


def tables(
    rules: Mapping[str, Solver[Any]], schedule: NoiseSchedule, times: Tensor
) -> dict[str, Table]:
    """The tables of those among ``rules`` that have one on this grid, by the same names."""
    found = {}
    for name, rule in rules.items():
        try:
            found[name] = tabulate(rule, schedule, times)
        except UsageError:
            continue
    return found
