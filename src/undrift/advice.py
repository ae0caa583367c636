"""How an error names a parameter, and what it advises: only what the running command takes.

One check serves several commands and calls from Python. A call takes every parameter under its own
name; a command takes flags, and advice to use one that it lacks would end in the next error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PARAMETER = re.compile(r"{([a-z_]+)}")

_commands: list[Mapping[str, str] | None] = []
"""Parameter -> flag, of the command lines that are running, the innermost last; None before they
are known."""


@contextmanager
def command() -> Iterator[None]:
    """Around one command line: afterwards, advice is that of calls again."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def takes(spellings: Mapping[str, str]) -> None:
    """Register what the running command takes; outside of one, do nothing.

    Args:
        spellings: parameter -> the flag that sets it, such as ``size`` -> ``--size``.
    """
    if _commands:
        _commands[-1] = spellings


def named(parameter: str) -> str:
    """``parameter`` as the user knows it: the running command's flag, from Python the name."""
    return (_running() or {}).get(parameter, parameter)


def possible(*hints: str) -> str:
    """Return the first of ``hints`` that names no parameter which the running command lacks.

    Args:
        hints: parameters in braces, as in ``"choose a smaller {size}"``, which come out as `named`.
            The last names none: it is for everyone, and returned where no other can be followed.
    """
    *choices, last = hints
    taken = _running()
    for hint in choices:
        if taken is None or set(_PARAMETER.findall(hint)) <= taken.keys():
            return _PARAMETER.sub(lambda found: named(found[1]), hint)
    return last


def _running() -> Mapping[str, str] | None:
    return _commands[-1] if _commands else None
