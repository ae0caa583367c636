"""Names of files and classes: how they are compared, and how they are shown.

One name can be spelled in several sequences of Unicode code points: ``é`` is one of them in NFC,
which keyboards, Linux and Windows write, and two in NFD, which macOS writes to file systems and
archives. Names are therefore looked up by their NFC form, wherever they come from.

A name can also hold what no reader expects in one: bytes that are no UTF-8, line breaks, sequences
that colour a terminal or clear it, marks that turn the direction of writing. Whatever is shown or
logged is therefore made `printable` first.
"""

from __future__ import annotations

import difflib
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

_HIDDEN = re.compile("[\0-\x08\n-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls other than the tab, line and paragraph separators, marks of direction, and surrogates,
which stand for bytes that are no UTF-8."""


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


def printable(text: str) -> str:
    r"""Return ``text`` as one line of valid Unicode, with what is in `_HIDDEN` escaped.

    Line breaks become ``\n``, the escape character ``\x1b``, and an undecodable byte ``\xe9``.
    """
    return _HIDDEN.sub(_escaped, text)


def shell_line(words: Iterable[object]) -> str:
    """Return ``words`` as one printable line that a shell (bash, zsh, ksh) reads as them again."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if not _HIDDEN.search(word):
        return shlex.quote(word)
    escaped = printable(re.sub(r"([\\'])", r"\\\1", word))
    return f"$'{escaped}'"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # as Python decodes file names
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0x9F:  # not to be taken for a byte
        return f"\\u{code:04x}"
    return match[0].encode("unicode_escape").decode()
