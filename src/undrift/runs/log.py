"""``log.txt``: the messages of a run, with the time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rich.console import Console

from undrift.files.durable import writing
from undrift.files.filesystem import open_own
from undrift.names import printable


class RunLog:
    """Shows lines on a console and appends them to a file.

    Args:
        console: where to show them.
        path: the file; None shows them only, as ranks other than the first do.
    """

    def __init__(self, console: Console, path: Path | None) -> None:
        self.console = console
        self._path = path

    def say(self, line: str) -> None:
        """Show ``line`` and append it, both `printable`.

        Raises:
            UsageError: the file cannot be written.
        """
        line = printable(line)
        self.console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
        if self._path is not None:
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            with (
                writing(self._path),
                open(self._path, "a", encoding="utf-8", opener=open_own) as file,
            ):
                file.write(f"{now}  {line}\n")
