"""How fast a run trains, and who changes its length accordingly."""

from __future__ import annotations

import time
from typing import Protocol

from undrift.training.plan import TrainingPlan


class Pace:
    """Mean wall-clock time of an update since the last ``restart``.

    A process's first update, which compiles and allocates, and side tasks are not counted.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._excluded = 0.0
        self.updates = 0

    def add(self) -> None:
        """Record that an update was made."""
        if self._since is None:
            self._since = time.perf_counter()
        else:
            self.updates += 1

    def exclude(self, seconds: float) -> None:
        """Leave out time that was no training."""
        self._excluded += 0.0 if self._since is None else seconds

    def seconds(self) -> float | None:
        """Seconds per update; None before one was timed."""
        if self._since is None or not self.updates:
            return None
        return max(1e-9, time.perf_counter() - self._since - self._excluded) / self.updates

    def restart(self) -> None:
        """Count from now on."""
        self._since, self._excluded, self.updates = time.perf_counter(), 0.0, 0


class Pacing(Protocol):
    """Decides on the length of a run anew, at points that depend on its plan alone."""

    def replan(self, plan: TrainingPlan, step: int, pace: Pace) -> TrainingPlan:
        """The plan from update ``step`` on: ``plan`` itself, or one that was stored before.

        Called after every update, with the same plan and step on every rank; all return the same.
        """
        ...
