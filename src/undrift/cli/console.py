"""What the verbs share of the terminal: plain lines where there is none, no wrapping anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console, HighlighterType, JustifyMethod, OverflowMethod
from rich.style import Style
from rich.text import Text

from undrift.cli.dispatch import first_rank
from undrift.errors import UnsavedResultError
from undrift.names import printable, shell_line


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # Rich would leave with code 1 here; the dispatcher knows what a lost reader means.
        raise BrokenPipeError

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """Everything that is printed passes here: names command no terminal, lines stay lines."""
        return super().render_str(
            "\n".join(map(printable, text.split("\n"))),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=emoji,
            markup=markup,
            highlight=highlight,
            highlighter=highlighter,
        )


def make_console(*, quiet: bool = False) -> Console:
    """A console on stdout: colour and live progress on a terminal, plain whole lines elsewhere.

    Nothing in a message is ever taken for markup, since messages hold the user's file names. Of
    several processes that train together only the first one prints.
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
    from undrift.runs.activity import make_bar

    with make_bar(console) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


@contextmanager
def shown_if_unsaved(console: Console, table: Callable[[Any], list[str]]) -> Iterator[None]:
    """Print a result that could not be written, before the error says so."""
    try:
        yield
    except UnsavedResultError as error:
        for line in table(error.result):
            console.print(line)
        raise


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of words as lines with aligned columns, two blanks apart."""
    table = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def following(*words: object) -> str:
    """The line that ends a command: what to type next, quoted for a shell."""
    return "next: " + shell_line(words)


def command_line(verb: str, arguments: Sequence[str]) -> str:
    """The command as the user typed it, quoted for a shell, to be stored beside what it made."""
    return shell_line(["undrift", verb, *arguments])
