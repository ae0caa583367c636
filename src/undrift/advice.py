"""What an error advises: only flags that the command which is running has.

One check serves several commands and calls from Python. A call takes every setting; a command takes
its flags, and advice to use another one would end in the next error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")

_commands: list[frozenset[str] | None] = []
"""Flags of the command lines that are running, the innermost last; None before they are known."""


@contextmanager
def command() -> Iterator[None]:
    """Around one command line: afterwards, advice is that of calls again."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def takes(flags: Iterable[str]) -> None:
    """Say which flags the running command has, as ``--size``; outside of one it says nothing."""
    if _commands:
        _commands[-1] = frozenset(flags)


def possible(*hints: str) -> str:
    """Return the first of ``hints`` that names no flag which the running command lacks.

    The last is for everyone, and is returned where no other can be followed.
    """
    *choices, last = hints
    flags = _commands[-1] if _commands else None
    for hint in choices:
        if flags is None or set(_FLAG.findall(hint)) <= flags:
            return hint
    return last
