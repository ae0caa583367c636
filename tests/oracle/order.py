"""Measures a solver's order of convergence against exact solutions, in float64."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from tests.oracle.noise import Path, Units
from torch import Tensor

from undrift.diffusion import (
    VE,
    Flow,
    GaussianMixture,
    Level,
    NoiseSchedule,
    SubVP,
    VPCosine,
    VPLinear,
)
from undrift.sampling import Solver, integrate

SCHEDULES = (VE(), VPLinear(), VPCosine(), Flow(), SubVP())
MIXTURE = GaussianMixture([-1.2, 0.3, 1.1], [0.3, 0.25, 0.35], [0.3, 0.5, 0.2])
GAUSSIAN = GaussianMixture([0.5], [0.6])
STEPS = (32, 96, 288)

_LOWEST = 0.1  # sigma / alpha at which the convergence grids end: above 0, where D is smooth


def kind(schedule: Any) -> str:
    return schedule.kind


def grid(schedule: NoiseSchedule, steps: int, rough: bool = False) -> Tensor:
    """From t = 1, alpha = 0 included, evenly in t; evenly in log-SNR for VE, whose t is too uneven.

    On a rough grid every second step is three times its neighbours, however many steps there are.
    """
    bottom = schedule.time_at(-2 * math.log(_LOWEST))
    along = torch.arange(steps + 1, dtype=torch.float64)
    if rough:
        along[1:-1:2] += 0.5
    along = along / steps
    if isinstance(schedule, VE):
        top, low = schedule(1.0).log_snr, schedule(bottom).log_snr
        return schedule.time_at(top + along * (low - top))
    return 1 + along * (bottom - 1)


def starts(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Points across the bulk of p_t."""
    level = schedule(t)
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return z * (level.alpha**2 + level.sigma**2).sqrt()


@cache
def levels_of(schedule: NoiseSchedule, grids: Any, steps: int, rough: bool) -> list[Level]:
    return [schedule(t) for t in grids(schedule, steps, rough)]


@cache
def exact(schedule: NoiseSchedule, grids: Any, steps: int, rough: bool, after: int) -> Tensor:
    """Where the flow map carries `starts` in the first ``after`` steps of a grid."""
    levels = levels_of(schedule, grids, steps, rough)
    return MIXTURE.flow(starts(schedule, levels[0].t), levels[0], levels[after])


def slope(errors: list[float], steps: tuple[int, ...] = STEPS) -> float:
    """Least-squares slope of log error over log step."""
    x = torch.log2(torch.tensor([float(n) for n in steps[: len(errors)]]))
    y = torch.log2(torch.tensor(errors))
    x, y = x - x.mean(), y - y.mean()
    return -float((x * y).sum() / (x * x).sum())


def as_started(
    solver: Solver[Any], schedule: NoiseSchedule, steps: tuple[int, ...] = STEPS
) -> float:
    """Order of the solver on the mixture's flow map, from its own first step on."""
    errors = []
    for count in steps:
        times = grid(schedule, count)
        x = starts(schedule, times[0])
        end = integrate(MIXTURE.denoiser(schedule), x, times, solver, schedule=schedule)
        errors.append(float((end - exact(schedule, grid, count, False, count)).abs().max()))
    return slope(errors)


def primed(solver: Solver[Any], schedule: NoiseSchedule) -> float:
    """Order of the rule itself, on rough grids: the state after its first step is the exact one."""
    denoise = MIXTURE.denoiser(schedule)
    errors = []
    for count in STEPS:
        levels = levels_of(schedule, grid, count, True)
        x = starts(schedule, levels[0].t)
        memory = solver.start(x, schedule)
        for k in range(count):
            stepped, memory, _ = solver.step(
                denoise, x, levels[k], levels[k + 1], memory, _no_noise
            )
            x = exact(schedule, grid, count, True, 1) if k == 0 else stepped
        errors.append(float((x - exact(schedule, grid, count, True, count)).abs().max()))
    return slope(errors)


def in_law(solver: Solver[Any], schedule: NoiseSchedule, steps: tuple[int, ...] = STEPS) -> float:
    """Weak order on Gaussian data, without any sampling.

    The exact denoiser is linear there, and so is a whole run, in its start and in every number of
    its noise. One row for each reveals the factors, from which mean and variance follow exactly.
    """
    denoise = GAUSSIAN.denoiser(schedule)
    mean_0, std_0 = float(GAUSSIAN.means), float(GAUSSIAN.stds)
    errors = []
    for count in steps:
        times = grid(schedule, count)
        x = torch.zeros(2 * count + 2, dtype=torch.float64)
        x[1] = 1
        noise = Units(len(x))
        end = integrate(denoise, x, times, solver, schedule=schedule, noise=noise)
        mean, variance = _moments(schedule(times[0]), mean_0, std_0)
        factors = end[1:] - end[0]
        mean = float(end[0] + factors[0] * mean)
        variance = float(factors[0] ** 2 * variance + factors[1:].square().sum())
        mean_s, variance_s = _moments(schedule(times[-1]), mean_0, std_0)
        errors.append(abs(mean - mean_s) + abs(variance**0.5 - variance_s**0.5))
    return slope(errors, steps)


def strong(
    solver: Solver[Any],
    schedule: NoiseSchedule,
    reference: Tensor,
    steps: tuple[int, ...],
    *,
    per_step: bool = False,
) -> float:
    """Strong order: how fast ends come to ``reference``, the end of fine steps on the same path."""
    errors = []
    for count in steps:
        end = on_path(solver, schedule, count, per_step=per_step)
        errors.append(float((end - reference).abs().mean()))
    return slope(errors, steps)


def on_path(
    solver: Solver[Any], schedule: NoiseSchedule, steps: int, *, per_step: bool = False
) -> Tensor:
    """Where ``solver`` carries 512 numbers with Brownian paths of their own."""
    times = grid(schedule, steps)
    level = schedule(times[0])
    x = torch.linspace(-2, 2, 512, dtype=torch.float64)
    x = x * (level.alpha**2 + level.sigma**2).sqrt()
    noise = Path(len(x), per_step=per_step)
    denoise = MIXTURE.denoiser(schedule)
    return integrate(denoise, x, times, solver, schedule=schedule, noise=noise)


def _moments(level: Any, mean: float, std: float) -> tuple[float, float]:
    alpha, sigma = float(level.alpha), float(level.sigma)
    return alpha * mean, (alpha * std) ** 2 + sigma**2


def _no_noise(purpose: str) -> Tensor:
    raise AssertionError(f"a deterministic solver drew noise for {purpose}")


def log_grid(schedule: NoiseSchedule, steps: int, rough: bool = False) -> Tensor:
    """From sigma / alpha = 2 to 0.1, evenly in the log-SNR: where the mixture's D bends most."""
    along = torch.arange(steps + 1, dtype=torch.float64)
    if rough:
        along[1:-1:2] += 0.5
    top, low = -2 * math.log(2.0), -2 * math.log(_LOWEST)
    return schedule.time_at(top + along / steps * (low - top))


def measured(
    solver: Solver[Any],
    schedule: NoiseSchedule,
    grids: Any = log_grid,
    *,
    rough: bool = False,
    history: int = 0,
    steps: tuple[int, ...] = STEPS,
) -> float:
    """Order in the root mean square, with the states after the first steps put right.

    Args:
        solver: the rule.
        schedule: the path.
        grids: `log_grid` or `grid`.
        rough: whether the steps' lengths alternate.
        history: how many states, from the first step's on, are replaced by the exact ones.
        steps: the numbers of steps to compare.
    """
    denoise = MIXTURE.denoiser(schedule)
    errors = []
    for count in steps:
        levels = levels_of(schedule, grids, count, rough)
        x = starts(schedule, levels[0].t)
        memory = solver.start(x, schedule)
        for k, (level_t, level_s) in enumerate(pairwise(levels)):
            x, memory, _ = solver.step(denoise, x, level_t, level_s, memory, _no_noise)
            if k < history:
                x = exact(schedule, grids, count, rough, k + 1)
        error = x - exact(schedule, grids, count, rough, count)
        errors.append(float(error.square().mean().sqrt()))
    return slope(errors, steps)
