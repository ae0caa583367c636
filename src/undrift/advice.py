"""How an error names a parameter, and what it advises: only flags that the running command has.

One check serves several commands and calls from Python. A call takes every parameter under its own
name; a command takes flags, and advice to use one that it lacks would end in the next error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")

_commands: list[frozenset[str] | None] = []
"""Flags of the command lines that are running, the innermost last; None before they are known."""

_spellings: list[Mapping[str, str]] = []
"""Parameter -> flag, of the same command lines."""


@contextmanager
def command() -> Iterator[None]:
    """Around one command line: afterwards, advice is that of calls again."""
    _commands.append(None)
    _spellings.append({})
    try:
        yield
    finally:
        _commands.pop()
        _spellings.pop()


def takes(flags: Iterable[str], spellings: Mapping[str, str] | None = None) -> None:
    """Register the flags of the running command, as ``--size``; outside of one, do nothing.

    Args:
        flags: every spelling of every flag.
        spellings: parameter -> the flag that sets it.
    """
    if _commands:
        _commands[-1] = frozenset(flags)
        _spellings[-1] = {} if spellings is None else spellings


def named(parameter: str) -> str:
    """``parameter`` as the user knows it: the running command's flag, from Python the name."""
    return _spellings[-1].get(parameter, parameter) if _spellings else parameter


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
