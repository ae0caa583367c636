"""What the verbs share of the terminal: plain lines where there is none, no wrapping anywhere."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console

from undrift.cli.dispatch import first_rank


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # Rich would leave with code 1 here; the dispatcher knows what a lost reader means.
        raise BrokenPipeError


def make_console(*, quiet: bool = False) -> Console:
    """A console on stdout: colour and live progress on a terminal, plain whole lines elsewhere.

    Nothing in a message is ever taken for markup, since messages hold the user's file names. Of
    several processes that train together only the first one speaks.
    """
    return _Console(
        quiet=quiet or not first_rank(),
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def progress(console: Console, title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar to call with (done, total); None where there is no terminal to draw it on."""
    if not console.is_terminal or console.quiet:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of words as lines with aligned columns, two blanks apart."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def following(*words: object) -> str:
    """The line that ends a command: what to type next, quoted for a shell."""
    return "next: " + shlex.join(str(word) for word in words)


def command_line(verb: str, arguments: Sequence[str]) -> str:
    """The command as the user typed it, quoted for a shell, to be stored beside what it made."""
    return shlex.join(["undrift", verb, *arguments])


def duration(seconds: float) -> str:
    """A length of time in its largest whole unit, such as ``3 min``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
