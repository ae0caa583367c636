"""When the loop runs its side tasks: checkpoints, sample grids, validation.

None of this changes the weights, so it may follow the clock. With a fixed number of steps between
two turns the clock is not read.
"""

from __future__ import annotations

import math
import time


class Cadence:
    """Says when a side task is due.

    By the clock, turns are ``interval`` seconds apart, ``growth`` times further apart after each up
    to ``most``, and never so close that the task takes more than ``share`` of the time.
    """

    def __init__(
        self,
        every: int | None,
        *,
        interval: float,
        growth: float = 1.0,
        most: float = math.inf,
        cost: float = 0.0,
        share: float = 0.02,
    ) -> None:
        self._every = every
        self._interval = interval
        self._growth = growth
        self._most = most
        self._share = share
        self._due = time.monotonic() + max(interval, cost / share)

    def due(self, step: int) -> bool:
        """Whether the task's turn has come after update ``step``."""
        if self._every is not None:
            return step % self._every == 0
        return time.monotonic() >= self._due

    def done(self, seconds: float) -> None:
        """Record that the task was carried out and took ``seconds``."""
        self._interval = min(self._interval * self._growth, self._most)
        self._due = time.monotonic() + max(self._interval, seconds / self._share)
