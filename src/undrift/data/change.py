"""What changed in a data set since it was read last, counted in images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from undrift.data.report import DataReport
from undrift.json_types import JsonValue
from undrift.names import printable
from undrift.wording import plural

_SHOWN = 3
"""Names, classes or splits that are listed."""


def changed(then: Mapping[str, JsonValue], now: DataReport) -> str:
    """Say how the images differ: how many there were, which are gone, which are new.

    Args:
        then: what ``data.json`` held; what it leaves out is not said.
        now: the report on what is there.
    """
    before = then.get("count")
    words = []
    if isinstance(before, int):
        counted = f"{plural(before, 'image')} then, {now.count:,} now"
        words.append(f"{plural(before, 'image')} as then" if before == now.count else counted)
    names = then.get("names")
    if isinstance(names, list) and names and now.names:
        there, here = set(map(str, names)), set(now.names)
        for found, what in ((there - here, "gone"), (here - there, "new")):
            words += [f"{len(found):,} {what}: {_some(sorted(found))}"] if found else []
    else:
        words += _counts("of class", then.get("classes"), now.classes)
        words += _counts("for", then.get("splits"), now.splits)
    if not words or (len(words) == 1 and before == now.count):
        words.append("other pixels, labels, captions or splits")
    return "; ".join(words)


def _counts(what: str, then: object, now: Mapping[str, int]) -> list[str]:
    """The first of the counts that differ."""
    there = then if isinstance(then, dict) else now
    names = [name for name in {**there, **now} if there.get(name, 0) != now.get(name, 0)]
    return [
        f"{what} {printable(str(name))} {there.get(name, 0)} then, {now.get(name, 0)} now"
        for name in names[:_SHOWN]
    ]


def _some(names: Iterable[str]) -> str:
    listed = [printable(name) for name in names]
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
