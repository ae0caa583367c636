"""Rows dealt into blocks, and the moments of any run of neighbouring blocks, in one pass.

Sums over the first b blocks, for every b, give those of a run as a difference of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from undrift.metrics.moments import Array
from undrift.randomness import generator

BLOCKS = 20


@dataclass(frozen=True)
class Run:
    """Neighbouring blocks, the first of which also follows the last: ``start`` and so many more."""

    start: int
    length: int

    @property
    def blocks(self) -> list[int]:
        """Their numbers."""
        return [(self.start + i) % BLOCKS for i in range(self.length)]


@dataclass(frozen=True)
class Blocks:
    """Sums over the first b of B blocks of rows about one centre, for b from 0 to B.

    Attributes:
        centre: (D,).
        counts: (B + 1,).
        sums: (B + 1, D) of the rows, less the centre.
        squares: (B + 1, D, D) of the same.
    """

    centre: Array
    counts: Array
    sums: Array
    squares: Array

    @classmethod
    def dealt(cls, rows: Array, seed: int, side: str) -> Blocks:
        """``rows`` (n, D) dealt at random into B blocks."""
        draws = generator(seed, "frechet infinity", side)
        order = torch.randperm(len(rows), generator=draws).numpy()
        centre, size = rows.mean(axis=0), rows.shape[1]
        counts, sums = np.zeros(BLOCKS + 1), np.zeros((BLOCKS + 1, size))
        squares = np.zeros((BLOCKS + 1, size, size))
        for b, part in enumerate(np.array_split(order, BLOCKS)):
            block = rows[part] - centre
            counts[b + 1] = counts[b] + len(block)
            sums[b + 1] = sums[b] + block.sum(axis=0)
            squares[b + 1] = squares[b] + block.T @ block
        return cls(centre, counts, sums, squares)

    def of(self, runs: list[Run]) -> tuple[Array, Array]:
        """Means (r, D) and covariances (r, D, D) of the r ``runs`` of blocks."""
        count = self._within(self.counts, runs)[:, None]
        shift = self._within(self.sums, runs) / count
        scatter = self._within(self.squares, runs)
        scatter -= count[:, :, None] * shift[:, :, None] * shift[:, None, :]
        return self.centre + shift, scatter / (count[:, :, None] - 1)

    @staticmethod
    def _within(first: Array, runs: list[Run]) -> Array:
        """Sums over each of ``runs`` from those over the ``first`` b blocks."""
        starts = [run.start for run in runs]
        ends = [run.start + run.length for run in runs]
        found = first[[min(end, BLOCKS) for end in ends]] - first[starts]
        for i, end in enumerate(ends):
            if end > BLOCKS:  # and on from the first block
                found[i] += first[end - BLOCKS]
        return found
