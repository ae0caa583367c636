"""What is meant by a sampler's name that is none here: one of ours, perhaps with a grid.

A1111 and ComfyUI name a sampler and its grid in one, as "DPM++ 2M Karras"; here they are two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from undrift import synonyms
from undrift.names import nearest, plain
from undrift.sampling.grids.lookup import GRIDS

_GRIDS = {
    plain(name): ours for name, ours in (*synonyms.GRIDS.items(), *zip(GRIDS, GRIDS, strict=True))
}


def sampler_hint(name: str, accepted: Mapping[str, str]) -> str:
    """Return the name to use for the unknown sampler ``name``, as advice; "" where none is near.

    Args:
        name: what was given.
        accepted: every plain name that is understood, and the sampler of ours.
    """
    key = plain(name)
    if key in map(plain, synonyms.DISTILLED):
        return (
            "it draws from models that were distilled for it; for few steps of this model see "
            "`undrift tune-sampler`;"
        )
    if key in _GRIDS:
        return f"it is a grid here, {_GRIDS[key]!r}, to be given as such;"
    known = {plain(other): own for other, own in synonyms.SAMPLERS.items()} | dict(accepted)
    sampler, grid = _parts(name, known)
    if grid is None:
        near = nearest(name, set(known.values()), known)
        longer = near is not None and plain(near).startswith(plain(sampler or ""))
        sampler = near if longer else sampler
    with_grid = "" if grid is None else f" with grid {grid!r}"
    return "" if sampler is None else f"did you mean {sampler!r}{with_grid}?"


def _parts(name: str, known: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The sampler that the words of ``name`` begin with, and the grid that they end with."""
    words = [word for word in re.split(r"[\s_-]+", name) if word]
    words = words[1:] if words[:1] in (["k"], ["K"]) else words
    for word, grid in _GRIDS.items():  # without blanks
        head = plain("".join(words)).removesuffix(word)
        if head in known and head + word == plain("".join(words)):
            return known[head], grid
    for end in range(len(words), 0, -1):
        if (head := plain("".join(words[:end]))) in known:
            tail = "".join(words[end:])
            return known[head], _GRIDS.get(plain(tail)) or nearest(tail, GRIDS)
    return None, None
