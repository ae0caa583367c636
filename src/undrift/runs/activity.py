"""Progress of a long task of a run: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from undrift.wording import clock

PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

OnDone = Callable[[int, int], None]
"""Called as (done, in all)."""


@contextmanager
def activity(console: Console, title: str) -> Iterator[OnDone]:
    """Show how far a task is while the block runs.

    Args:
        console: where.
        title: what is being done, such as ``drawing samples``.
    """
    began = spoken = time.monotonic()
    bar = Bar(
        TextColumn(title),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        nonlocal spoken
        now = time.monotonic()
        if console.is_terminal:
            bar.update(task, completed=done, total=total)
        elif now - spoken >= PLAIN_EVERY and 0 < done < total:
            left = (now - began) * (total - done) / done
            console.print(
                f"{title}: {done / total:.0%}, elapsed {clock(now - began)}, left {clock(left)}"
            )
            spoken = now

    if console.is_terminal:
        with bar:
            yield show
    else:
        yield show
