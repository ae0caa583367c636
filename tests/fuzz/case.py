"""What a case is: a folder to fill, something to do there, and words for both."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
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


def command(words: list[str], environment: Mapping[str, str | None] | None = None) -> Act:
    """Run a command line as the `undrift` command does, and leave a trace of what is unexpected.

    Args:
        words: after ``undrift``.
        environment: variables to set, or to unset where None.
    """

    def act(trace: TextIO) -> int:
        from undrift.cli import dispatch

        fail = dispatch._fail

        def traced(message: str, code: int) -> int:
            if code == 1:
                traceback.print_exc(file=trace)
                trace.flush()
            return fail(message, code)

        for name, value in (environment or {}).items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        dispatch._fail = traced
        sys.argv = ["undrift", *words]
        return dispatch.main(words)

    return act
