"""What every kind of source hands over: encoded files, or rows of pixels that need no decoding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from undrift.options.maps import COLUMN, MapRequest

LARGEST_FILE = 512 * 2**20
"""Bytes; one image file above this is set aside unread."""

LARGEST_NUMBER = 1e100

MOST_DIGITS = 18
"""Digits of a class that is ordered as a number; more are no numbering."""


@dataclass(frozen=True)
class MapFile:
    """One encoded map of an image.

    Attributes:
        name: printable name.
        read: as of `Entry`.
    """

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Entry:
    """One encoded image.

    Attributes:
        name: printable name, unique within the source.
        read: returns the file's bytes; raises OSError or ValueError where it cannot.
        label: name of the class, or None.
        captions: texts of which any describes the image.
        split: "train", "validation" or "test" where the source says so.
        numbers: a value of each requested column of numbers.
        maps: the file of each requested map.
    """

    name: str
    read: Callable[[], bytes]
    label: str | None = None
    captions: tuple[str, ...] = ()
    split: str | None = None
    numbers: tuple[float, ...] = ()
    maps: tuple[MapFile, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Which columns of metadata or of a Hugging Face data set are read.

    Attributes:
        label: of the labels; None is ``label``.
        captions: of the captions, or ``.txt`` for text files beside the images; None is ``text``,
            if it is there.
        numbers: columns of numbers; of ``.npz`` files arrays of these names.
        maps: maps of every image; metadata names the files of ``mask`` in ``mask_file_name``.
    """

    label: str | None = None
    captions: tuple[str, ...] | None = None
    numbers: tuple[str, ...] = ()
    maps: tuple[MapRequest, ...] = ()

    @property
    def requested(self) -> dict[str, str]:
        """The requested columns, by the name of their argument."""
        captions = None if self.captions is None else ",".join(self.captions)
        numbers = ",".join(self.numbers) or None
        maps = ",".join(request.name + COLUMN for request in self.maps) or None
        requested = {"label_column": self.label, "caption_column": captions}
        requested |= {"numbers": numbers, "maps": maps}
        return {name: column for name, column in requested.items() if column is not None}


DEFAULT = Columns()


@dataclass(frozen=True)
class SetAside:
    """An image that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Files:
    """Encoded images with what the source knows of them.

    Attributes:
        kind: the source in words, for the report.
        entries: candidates, in an order that depends on names alone.
        set_aside: what was refused before any decoding.
        ignored: what was no candidate, by kind: an extension, a system folder -> how many.
        warnings: lines for the report.
        notes: lines for the report that are no warnings.
        class_names: where the source fixes their order; else they are sorted.
        numeric: columns that hold a number for every image -> smallest and largest.
    """

    kind: str
    entries: tuple[Entry, ...]
    set_aside: tuple[SetAside, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    numeric: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Images that are already pixels.

    Attributes:
        kind: the source in words, for the report.
        images: uint8, (N, H, W, C) with C from 1 to 4.
        labels: int64 (N,), indices into ``class_names``, or None.
        class_names: one name per class.
        splits: per row "train", "validation" or "test", or None where the source has no splits.
        numbers: float64 (N, K), one requested column each, or None.
        notes: lines for the report.
        maps: uint8 (N, H, W, C) of each requested map.
    """

    kind: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    splits: tuple[str, ...] | None = None
    numbers: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    maps: tuple[NDArray[np.uint8], ...] = ()


def as_number(value: object) -> float | None:
    """Return a number, or text that is one, as a float; None of anything else, nan and infinities.

    Numbers beyond 1e100 are none either, so that their squares are finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and "_" in value:  # 1_000 is Python's, not data's
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST_NUMBER else None


class Ranges:
    """The smallest and largest value of each column that holds a number in every row.

    Args:
        names: columns to check; the first 64 of them are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.found = {name: (math.inf, -math.inf) for name in islice(names, 64)}

    def add(self, row: Mapping[str, object]) -> None:
        """Take in a row; a column without a number in it is none."""
        for name, (low, high) in list(self.found.items()):
            value = as_number(row.get(name))
            if value is None:
                del self.found[name]
            else:
                self.found[name] = min(low, value), max(high, value)


def ordered_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels: in numerical order where all are integers, else sorted."""
    distinct = set(labels)
    if all(
        label.isdecimal() and label.isascii() and len(label) <= MOST_DIGITS for label in distinct
    ):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))
