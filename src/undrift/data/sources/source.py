"""What every kind of source hands over: encoded files, or rows of pixels that need no decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LARGEST_FILE = 512 * 2**20
"""Bytes; one image file above this is set aside unread."""

MOST_DIGITS = 18
"""Digits of a class that is ordered as a number; more are no numbering."""


@dataclass(frozen=True)
class Entry:
    """One encoded image.

    Attributes:
        name: printable name, unique within the source.
        read: returns the file's bytes; raises OSError or ValueError where it cannot.
        label: name of the class, or None.
        captions: texts of which any describes the image.
        split: "train", "validation" or "test" where the source says so.
    """

    name: str
    read: Callable[[], bytes]
    label: str | None = None
    captions: tuple[str, ...] = ()
    split: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns of metadata or of a Hugging Face data set are read.

    Attributes:
        label: of the labels; None is ``label``.
        captions: of the captions, or ``.txt`` for text files beside the images; None is ``text``,
            if it is there.
    """

    label: str | None = None
    captions: tuple[str, ...] | None = None

    @property
    def asked(self) -> dict[str, str]:
        """What was asked for, by the name of its argument."""
        captions = None if self.captions is None else ",".join(self.captions)
        asked = {"label_column": self.label, "caption_column": captions}
        return {name: column for name, column in asked.items() if column is not None}


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
    """

    kind: str
    entries: tuple[Entry, ...]
    set_aside: tuple[SetAside, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rows:
    """Images that are already pixels.

    Attributes:
        kind: the source in words, for the report.
        images: uint8, (N, H, W, C) with C from 1 to 4.
        labels: int64 (N,), indices into ``class_names``, or None.
        class_names: one name per class.
        splits: per row "train", "validation" or "test", or None where the source has no splits.
    """

    kind: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    splits: tuple[str, ...] | None = None


def ordered_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels: in numerical order where all are integers, else sorted."""
    distinct = set(labels)
    if all(
        label.isdecimal() and label.isascii() and len(label) <= MOST_DIGITS for label in distinct
    ):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))
