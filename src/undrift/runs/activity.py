"""Progress of a long task of a run: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from undrift.names import printable
from undrift.wording import clock

PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

OnDone = Callable[[int, int], None]
"""Called as (done, in all)."""


class _Description(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(printable(task.description), "progress.description")


def make_bar(console: Console) -> Progress:
    """A progress display that goes when it ends; its descriptions are shown as they are."""
    elapsed = TextColumn("elapsed"), TimeElapsedColumn()
    left = TextColumn("left"), TimeRemainingColumn()
    columns = _Description(""), BarColumn(), TaskProgressColumn(), *elapsed, *left
    return Progress(*columns, console=console, transient=True)


@contextmanager
def activity(console: Console, title: str) -> Iterator[OnDone]:
    """Show how far a task is while the block runs.

    Args:
        console: where.
        title: what is being done, such as ``drawing samples``.
    """
    began = spoken = time.monotonic()
    bar = make_bar(console)
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
