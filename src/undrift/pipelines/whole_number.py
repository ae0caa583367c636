"""Whole numbers that a caller gives."""

from __future__ import annotations

import operator

from undrift.errors import UsageError


def at_least(name: str, value: int, least: int) -> int:
    """``value`` as a plain whole number.

    Raises:
        UsageError: if it is none, or below ``least``.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole < least:
        raise UsageError(f"{name} {value!r}: give a whole number of at least {least}")
    return whole
