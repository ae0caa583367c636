"""The words of ``--map``: which maps images are conditioned on, and where these come from.

``mask`` is a map of its own for every image: the column ``mask_file_name`` of the metadata, or an
array ``mask`` of an ``.npz``. ``mask:classes`` and ``depth:values`` say what its pixels are, where
that is not to be seen from them. ``edges``, ``grey``, ``masked`` and ``lowres:4`` are derived from
the images themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from undrift.advice import named
from undrift.errors import UsageError, shown

Derived = Literal["edges", "grey", "lowres", "masked"]
Pixels = Literal["", "classes", "values"]

DERIVED: tuple[Derived, ...] = ("edges", "grey", "lowres", "masked")
PIXELS: tuple[Pixels, ...] = ("", "classes", "values")
COLUMN = "_file_name"
"""Ends the name of a column that names a map's files."""

MOST_MAPS = 8
"""Of one model."""

LARGEST_FACTOR = 64

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_FORMS = "wanted a column such as mask or mask:classes, or edges, grey, masked or lowres:4"


@dataclass(frozen=True)
class MapRequest:
    """One map of a request.

    Attributes:
        name: of the map, unique in a model.
        derived: how it is made from the image; None for a map of its own for every image.
        pixels: of such a map: ``classes``, ``values``, or "" to see from its values.
        factor: of ``lowres``: pixels of the image, along each side, in one of the map.
    """

    name: str
    derived: Derived | None = None
    pixels: Pixels = ""
    factor: int = 1

    @staticmethod
    def parse(word: str, parameter: str = "maps") -> MapRequest:
        """What a word such as ``mask``, ``depth:values``, ``edges`` or ``lowres:4`` stands for.

        Raises:
            UsageError: for anything else.
        """
        name, colon, rest = word.strip().partition(":")
        derived: Derived | None = next((one for one in DERIVED if one == name), None)
        if derived == "lowres":
            factor = int(rest) if rest.isdecimal() and rest.isascii() and len(rest) < 4 else 0
            if not 2 <= factor <= LARGEST_FACTOR:
                raise UsageError(
                    f"{named(parameter)} {shown(word)}: wanted lowres:2 to "
                    f"lowres:{LARGEST_FACTOR}, the factor by which its resolution is lower"
                )
            return MapRequest(name, derived, factor=factor)
        pixels: Pixels | None = next((one for one in PIXELS if one == rest), None)
        if pixels is None or (colon and (derived or not pixels)) or not _NAME.fullmatch(name):
            raise UsageError(f"{named(parameter)} {shown(word)}: {_FORMS}")
        return MapRequest(name, derived, pixels)


def map_words(given: str | Sequence[str], parameter: str = "maps") -> tuple[str, ...]:
    """Words of maps in one form; ``"mask,edges"`` and ``["mask", "edges"]`` are the same.

    Args:
        given: words.
        parameter: that they were given for; errors name it.

    Raises:
        UsageError: a word that is none, or a name that comes twice.
    """
    several = [given] if isinstance(given, str) else list(given)
    words = tuple(part.strip() for word in several for part in word.split(","))
    names = [MapRequest.parse(word, parameter).name for word in words]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{named(parameter)}: {name} comes twice; give each map once")
    if len(names) > MOST_MAPS:
        raise UsageError(f"{named(parameter)}: {len(names)} maps; wanted at most {MOST_MAPS}")
    return words
