"""The one fixed-grid loop that every sampler runs in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule, Prediction
from undrift.diffusion.markov import transition
from undrift.errors import UsageError
from undrift.sampling.draw import StepDraw, StepNoise
from undrift.sampling.progress import OnStep, StepDone
from undrift.sampling.solver import BoundDenoise, Draw, Solver

AfterStep = Callable[[Tensor, Tensor, Tensor, Prediction, Draw], Tensor]
"""``after_step(x_s, t, s, prediction, draw) -> x_s``: may replace the state after a step t -> s."""

Memory = TypeVar("Memory")


def integrate(
    denoise: BoundDenoise,
    x: Tensor,
    grid: Tensor,
    solver: Solver[Memory],
    *,
    schedule: NoiseSchedule,
    noise: StepNoise | None = None,
    after_step: AfterStep | None = None,
    on_progress: OnStep | None = None,
) -> Tensor:
    """Carry ``x`` along ``grid`` with ``solver``.

    Where the grid falls the solver takes a step; where it rises, ``x`` is noised by the exact
    forward transition ``q(x_s | x_t)`` and the solver starts anew (which is how resampling and
    churn are written). No gradient mode is set here: the caller decides.

    Args:
        denoise: ``denoise(x_t, t) -> Prediction`` on the path of ``schedule``.
        x: state at ``grid[0]``, shape (B, ...), float32 or wider.
        grid: times in [0, 1], float64, shape (N + 1,), neighbours different.
        solver: the step rule.
        schedule: the path.
        noise: standard normal noise by step and by level; needed by stochastic solvers and rising
            grids.
        after_step: called after each falling step as ``after_step(x_s, t, s, prediction, draw)``,
            where ``draw`` gives this step's noise; what it returns becomes the state.
        on_progress: called after each step with its denoised images; to cancel, raise.

    Returns:
        The state at ``grid[-1]``, in the shape, dtype and device of ``x``.

    Raises:
        UsageError: for a grid that is not a valid path, or noise that is needed and missing.
    """
    times = _checked(grid)
    levels = [schedule(t) for t in times]
    total = len(times) - 1
    x0: Tensor | None = None
    memory = solver.start(x, schedule)
    for k, (level_t, level_s) in enumerate(pairwise(levels)):
        draw = StepDraw(noise, k, x)
        if level_s.t > level_t.t:
            x = transition(x, level_t, level_s).sample(draw("forward"))
            memory = solver.start(x, schedule)
        else:
            x, memory, prediction = solver.step(denoise, x, level_t, level_s, memory, draw)
            if after_step is not None:
                x = after_step(x, level_t.t, level_s.t, prediction, draw)
            x0 = x if float(level_s.sigma) == 0 else prediction.x0
        if on_progress is not None:
            on_progress(StepDone(k + 1, total, x0))
    return x


def _checked(grid: Tensor) -> list[Tensor]:
    """Return the grid's times as scalars on the CPU, where reading their values costs nothing."""
    if grid.ndim != 1 or len(grid) < 2 or grid.dtype != torch.float64:
        raise UsageError(
            f"grid of shape {tuple(grid.shape)} and {grid.dtype}: give two or more float64 times"
        )
    grid = grid.detach().cpu()
    if not bool(((grid >= 0) & (grid <= 1)).all()):
        raise UsageError("grid leaves [0, 1]: times run from 1 (noise) to 0 (data)")
    if bool((grid.diff() == 0).any()):
        raise UsageError("grid stands still: neighbouring times must differ")
    return list(grid.unbind())
