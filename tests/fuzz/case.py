"""What a case is: a folder to fill, something to do there, and words for both."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.fuzz.sandbox import Act, Console


@dataclass(frozen=True)
class Case:
    """One attempt.

    Attributes:
        kind: what failures are counted by, such as ``file sample``.
        title: what is tried, in words; `prepare` may add to it.
        prepare: fills the folder; returns what was done, in words.
        act: what the child does; returns an exit code.
        console: what its stdout is.
    """

    kind: str
    title: str
    prepare: Callable[[Path], str]
    act: Act
    console: Console = "utf-8"


def command(words: list[str]) -> Act:
    """Run a command line as the `undrift` command does, and leave a trace of what is unexpected."""

    def act(trace: TextIO) -> int:
        from undrift.cli import dispatch

        fail = dispatch._fail

        def traced(message: str, code: int) -> int:
            if code == 1:
                traceback.print_exc(file=trace)
                trace.flush()
            return fail(message, code)

        dispatch._fail = traced
        sys.argv = ["undrift", *words]
        return dispatch.main(words)

    return act
