"""Sources of noise that make stochastic solvers measurable."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import torch
from torch import Tensor

from undrift.diffusion import Level
from undrift.randomness import generator
from undrift.sampling import BrownianPaths
from undrift.sampling.brownian import tick


class Units:
    """Each independent number of a whole run is 1 in a row of its own, and 0 in the others.

    Rows 0 and 1 are left without noise. A run of linear steps over these rows shows the factor by
    which each number enters the end. Brownian increments that overlap share their numbers as the
    path's law has it.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.used = 2
        self.known: list[tuple[int, int, Tensor]] = []

    def step(self, k: int, shape: tuple[int, ...], purpose: str) -> Tensor:
        row = torch.zeros(self.rows, dtype=torch.float64)
        row[self.used] = 1
        self.used += 1
        return row

    def brownian(
        self, level_t: Level, level_s: Level, shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        start, stop = tick(float(level_t.log_snr)), tick(float(level_s.log_snr))
        self.known = [one for one in self.known if one[1] > start]
        row, left = torch.zeros(self.rows, dtype=torch.float64), 1.0
        for before, after, numbers in self.known:  # at most one, the beginning of this stretch
            overlap = min(after, stop) - max(before, start)
            share = overlap / math.sqrt((after - before) * (stop - start))
            row, left = row + share * numbers, left - share**2
        if left > 1e-9:
            row = row + math.sqrt(left) * self.step(0, shape, "")
        self.known.append((start, stop, row))
        return row


class Path:
    """Noise for ``count`` numbers; the Brownian paths are theirs whatever the grid.

    With ``per_step`` the increments are drawn anew in each step instead, as if W had been left out.
    """

    def __init__(self, count: int, seed: int = 0, *, scale: float = 1.0, per_step: bool = False):
        self.count, self.seed, self.scale, self.per_step = count, seed, scale, per_step
        self.drawn = 0

    def step(self, k: int, shape: tuple[int, ...], purpose: str) -> Tensor:
        made = generator(self.seed, purpose, k)
        return self.scale * torch.randn(self.count, *shape, generator=made, dtype=torch.float64)

    def brownian(
        self, level_t: Level, level_s: Level, shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        if self.per_step:
            self.drawn += 1
            return self.step(self.drawn, shape, "brownian")
        ends = float(level_t.log_snr), float(level_s.log_snr)
        return self.scale * _increment(self.seed, *ends, (self.count, *shape)).double()


@lru_cache(maxsize=2048)
def _increment(seed: int, log_snr_t: float, log_snr_s: float, shape: tuple[int, ...]) -> Tensor:
    """Of path 0: most solvers walk the same grids, and meet the same stretches there."""
    return _paths(seed).increment(log_snr_t, log_snr_s, shape)[0]


@cache
def _paths(seed: int) -> BrownianPaths:
    return BrownianPaths(seed, [0])
