"""What an error advises: only flags that the command which is running has.

One check serves several commands and calls from Python. A call takes every setting; a command takes
its flags, and advice to use another one would end in the next error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")

_taken: frozenset[str] | None = None
"""Flags of the running command; None in a call from Python. A process runs one command."""


@contextmanager
def command() -> Iterator[None]:
    """Around one command line: afterwards, advice is that of calls again."""
    global _taken
    before = _taken
    try:
        yield
    finally:
        _taken = before


def takes(flags: Iterable[str]) -> None:
    """Say which flags the running command has, as ``--size``."""
    global _taken
    _taken = frozenset(flags)


def possible(*hints: str) -> str:
    """Return the first of ``hints`` that names no flag which the running command lacks.

    The last is for everyone, and is returned where no other can be followed.
    """
    *choices, last = hints
    for hint in choices:
        if _taken is None or set(_FLAG.findall(hint)) <= _taken:
            return hint
    return last
