"""Names of files and classes: how they are compared.

One name can be spelled in several sequences of Unicode code points: ``é`` is one of them in NFC,
which keyboards, Linux and Windows write, and two in NFD, which macOS writes to file systems and
archives. Names are therefore looked up by their NFC form, wherever they come from.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


def normalised(name: str) -> str:
    """Return ``name`` in NFC, the form in which two names are compared."""
    return unicodedata.normalize("NFC", name)


def find(name: str, among: Mapping[str, Value]) -> Value | None:
    """Return the value of ``name``: of the very same spelling, else of an equal name; or None."""
    if name in among:
        return among[name]
    wanted = normalised(name)
    return next((value for key, value in among.items() if normalised(key) == wanted), None)


def nearest(name: str, among: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the name in ``among`` whose spelling is nearest, or None where none is near."""
    near = difflib.get_close_matches(name, list(among), n=1, cutoff=cutoff)
    return near[0] if near else None
