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

_LONGEST = 64
"""Characters of an unknown name that are compared with the known ones."""


def normalised(name: str) -> str:
    """Return ``name`` in NFC, the form in which two names are compared."""
    return unicodedata.normalize("NFC", name)


def find(name: str, among: Mapping[str, Value]) -> Value | None:
    """Return the value of ``name``: of the very same spelling, else of an equal name; or None."""
    if name in among:
        return among[name]
    wanted = normalised(name)
    return next((value for key, value in among.items() if normalised(key) == wanted), None)


def plain(name: str) -> str:
    """A name without what does not matter in it: case, spaces, dashes and underscores; + is p."""
    return "".join(c for c in name.lower().replace("+", "p") if c.isalnum())


def nearest(
    name: str, among: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> str | None:
    """Return the name in ``among`` that is meant by ``name``, or None where none is near.

    The same name in another case or with other separators goes first, then a name that another tool
    has for the same thing, then the nearest spelling of either.

    Args:
        name: what was given.
        among: what there is.
        elsewhere: names that other tools use, and ours; those that are not in ``among`` are left.
    """
    ours = list(among)
    others = {plain(key): own for key, own in (elsewhere or {}).items() if own in ours}
    meant = {key: own for key, own in others.items() if key}
    meant |= {plain(own) or own: own for own in reversed(ours)}
    short = name[:_LONGEST]
    if (exact := meant.get(plain(short) or short)) is not None:
        return exact
    for given, known in ((short, dict(zip(ours, ours, strict=True))), (plain(short), meant)):
        if near := difflib.get_close_matches(given, known, n=1):
            return known[near[0]]
    return None


def did_you_mean(
    name: str,
    among: Iterable[str],
    otherwise: str,
    elsewhere: Mapping[str, str] | None = None,
) -> str:
    """Return the question that ends an error about an unknown ``name``, or ``otherwise``."""
    near = nearest(name, among, elsewhere)
    return otherwise if near is None else f"did you mean {near!r}?"


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
