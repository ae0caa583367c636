"""Runs many works, each a few commands one after another, as many at a time as places."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from undrift.comparison.executor import Command, Executor, Job, Outcome
from undrift.comparison.fork_server import GRACE

PAUSE = 0.1
"""Seconds between two polls of what is running."""


class Work(Protocol):
    """Something to do by commands."""

    def next(self) -> Command | None:
        """The next command; None when all is done."""

    def ended(self, outcome: Outcome) -> None:
        """Called with how the last command ended, also when it was stopped."""


def work_off(
    works: Sequence[Work],
    executor: Executor,
    on_done: Callable[[Work], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Do all ``works`` in their order, as many at a time as there are places.

    Whatever ends this early, Ctrl-C among it, stops what is running, which saves its work; a second
    Ctrl-C kills it.

    Args:
        works: what to do.
        executor: where.
        on_done: called with each work that has no command left.
        sleep: how to wait.
    """
    waiting = deque(works)
    running: list[tuple[Work, Job]] = []
    try:
        while waiting or running:
            while waiting and len(running) < executor.places:
                _start(waiting.popleft(), executor, running, on_done)
            ended = False
            for entry in list(running):
                outcome = entry[1].poll()
                if outcome is not None:
                    ended = True
                    running.remove(entry)
                    entry[0].ended(outcome)
                    _start(entry[0], executor, running, on_done)
            if running and not ended:
                sleep(PAUSE)
    except BaseException:
        _stop(running, sleep)
        raise


def _start(
    work: Work,
    executor: Executor,
    running: list[tuple[Work, Job]],
    on_done: Callable[[Work], None],
) -> None:
    command = work.next()
    if command is None:
        on_done(work)
    else:
        running.append((work, executor.start(command)))


def _stop(running: list[tuple[Work, Job]], sleep: Callable[[float], None]) -> None:
    try:
        for _, job in running:
            job.stop()
        deadline = time.monotonic() + GRACE
        while running and time.monotonic() < deadline:
            for entry in list(running):
                outcome = entry[1].poll()
                if outcome is not None:
                    running.remove(entry)
                    entry[0].ended(outcome)
            if running:
                sleep(PAUSE)
    finally:
        for _, job in running:
            job.kill()
