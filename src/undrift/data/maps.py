"""Maps that come with each image, such as masks: read, checked and brought to the images' size.

A map is as large as its image, and is cut and resized as its image is: by nearest neighbour where
its pixels are classes, else by Lanczos. A PNG with a palette holds the numbers of its colours, not
the colours.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undrift.data.building import Settings, content_key, digest, pixel_hash, read_bytes
from undrift.data.cache import cached
from undrift.data.decode import RejectedError, decode, examine, strict_warnings
from undrift.data.geometry import Fit, fitted
from undrift.data.parallel import in_order
from undrift.data.sources.source import Entry, Rows
from undrift.errors import DataError
from undrift.options.maps import MapRequest
from undrift.wording import dimensions, plural

MOST_CLASSES, MOST_VALUES = 32, 256
"""Different values up to which pixels are taken for classes, where nobody says and where that was
said."""

VERSION = 1
"""Raise it whenever the same maps would be read in another way."""


@dataclass(frozen=True)
class _MapFacts:
    """What the cache says of a map: see `PairedMap.values`."""

    values: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class PairedMap:
    """A map of each image of a set.

    Attributes:
        request: its name, and what its pixels were said to be.
        store: uint8 (M, H, W, C), read-only, with the rows of the images' store.
        values: of a map of classes the values of each, in order; () for numbers.
        hashes: uint64 (M,), equal for equal maps.
    """

    request: MapRequest
    store: NDArray[np.uint8]
    values: tuple[tuple[int, ...], ...]
    hashes: NDArray[np.uint64]

    @property
    def name(self) -> str:
        """Of the map."""
        return self.request.name

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copy the maps of some rows: uint8 (len(rows), H, W, C)."""
        return np.take(self.store, rows, axis=0)

    @property
    def sentence(self) -> str:
        """What was found, for the report."""
        if not self.values:
            channels = plural(self.store.shape[3], "channel")
            return f"map {self.name}: numbers, {channels}"
        shown = ", ".join(value_text(value) for value in self.values[:8])
        more = ", ..." if len(self.values) > 8 else ""
        return f"map {self.name}: {plural(len(self.values), 'class')} ({shown}{more})"


def value_text(value: Sequence[int]) -> str:
    """A pixel's value in words: 7, or #ff0000 of a colour."""
    return str(value[0]) if len(value) == 1 else "#" + "".join(f"{part:02x}" for part in value)


def map_pixels(data: bytes) -> NDArray[np.uint8]:
    """Decode a map: uint8 (H, W, C), C = 1 or 3; alpha is left out.

    Raises:
        RejectedError: damaged, or not an image.
    """
    examine(data)
    with Image.open(io.BytesIO(data)) as image:
        if image.mode == "P":
            return np.asarray(image)[..., None]
    pixels = decode(data, {})
    return pixels[..., : {2: 1, 4: 3}.get(pixels.shape[2], pixels.shape[2])]


def paired_maps(
    requests: Sequence[MapRequest],
    entries: Sequence[Entry],
    images_key: str,
    size: tuple[int, int],
    fit: Fit,
    where: str,
) -> tuple[PairedMap, ...]:
    """Read the maps of the images that are used.

    Args:
        requests: which.
        entries: of the images, each with the files of its maps in the order of ``requests``.
        images_key: names the images.
        size: (height, width) of the decoded images.
        fit: how they were made to fit.
        where: the source, for messages.

    Raises:
        DataError: a map that cannot be read, or has another size or number of channels.
    """
    found = []
    for position, request in enumerate(requests):
        one = _Reading(request, [_Pair(entry, position) for entry in entries], size, fit, where)
        found.append(one.cached(images_key))
    return tuple(found)


def row_maps(
    requests: Sequence[MapRequest],
    rows: Rows,
    size: tuple[int, int],
    fit: Fit,
    where: str,
) -> tuple[PairedMap, ...]:
    """Bring maps that are pixels already to the size of the images.

    Raises:
        DataError: a map of another size than its image, or too many values for classes.
    """
    found = []
    for request, maps in zip(requests, rows.maps, strict=True):
        if maps.shape[1:3] != rows.images.shape[1:3]:
            raise DataError(
                f"{where}: {request.name} is {dimensions(*maps.shape[1:3])} pixels, the images "
                f"{dimensions(*rows.images.shape[1:3])}: give each map the size of its image"
            )
        different = set() if request.pixels == "values" else _different(maps)
        values = _classes(request, different, where)
        resized = np.stack([fitted(one, size, fit, nearest=bool(values)) for one in maps])
        hashes = np.array([pixel_hash(one) for one in resized], np.uint64)
        found.append(PairedMap(request, resized, values, hashes))
    return tuple(found)


def _different(pixels: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    """The different values of pixels (..., C)."""
    flat = pixels.reshape(-1, pixels.shape[-1])
    return {tuple(value) for value in np.unique(flat, axis=0).tolist()}


def _classes(
    request: MapRequest, found: set[tuple[int, ...]], where: str
) -> tuple[tuple[int, ...], ...]:
    """The values of a map's classes, of those found in it, in order; () where it has none.

    Raises:
        DataError: too many values for a map that was said to hold classes.
    """
    if request.pixels == "classes" and len(found) > MOST_VALUES:
        raise DataError(
            f"{where}: map {request.name} has more than {MOST_VALUES} values, too many for "
            f"classes: {request.name}:values takes them for numbers"
        )
    most = MOST_VALUES if request.pixels == "classes" else MOST_CLASSES
    return tuple(sorted(found)) if len(found) <= most else ()


@dataclass(frozen=True)
class _Pair:
    entry: Entry
    position: int

    @property
    def name(self) -> str:
        return self.entry.maps[self.position].name

    def read(self) -> bytes:
        return self.entry.maps[self.position].read()


@dataclass(frozen=True)
class _Reading:
    """How one map of all images is read."""

    request: MapRequest
    pairs: Sequence[_Pair]
    size: tuple[int, int]
    fit: Fit
    where: str

    def cached(self, images_key: str) -> PairedMap:
        digests = list(in_order(lambda pair: digest(self._bytes(pair)), self.pairs))
        settings = Settings(self.size, self.fit, None, None)
        words = json.dumps(["map", VERSION, self.request.pixels, images_key]).encode()
        entry = cached(content_key([digest(words), *digests], settings), self._build, _MapFacts)
        return PairedMap(self.request, entry.images, entry.facts.values, entry.hashes)

    def _build(self, folder: Path) -> _MapFacts:
        with strict_warnings():
            values = self._values()
            resized = list(in_order(lambda pair: self._fitted(pair, bool(values)), self.pairs))
        maps = np.stack(resized)
        np.save(folder / "images.npy", maps)
        np.save(folder / "hashes.npy", np.array([pixel_hash(one) for one in maps], np.uint64))
        return _MapFacts(values)

    def _values(self) -> tuple[tuple[int, ...], ...]:
        """Values of classes, in order; () of numbers. Checks every map."""
        channels = 0
        found: set[tuple[int, ...]] = set()
        for pair, pixels in zip(self.pairs, in_order(self._checked, self.pairs), strict=True):
            channels = channels or pixels.shape[2]
            if pixels.shape[2] != channels:
                raise DataError(
                    f"{self.where}: map {pair.name} has {plural(pixels.shape[2], 'channel')}, "
                    f"{self.pairs[0].name} has {channels}: give all maps the same"
                )
            if self.request.pixels != "values" and len(found) <= MOST_VALUES:
                found |= _different(pixels)
        return () if self.request.pixels == "values" else _classes(self.request, found, self.where)

    def _checked(self, pair: _Pair) -> NDArray[np.uint8]:
        pixels = self._pixels(pair)
        try:
            size = examine(read_bytes(pair.entry)).size
        except RejectedError as rejected:
            raise DataError(f"{self.where}: {pair.entry.name}: {rejected}") from rejected
        if pixels.shape[:2] != size:
            raise DataError(
                f"{self.where}: map {pair.name} is {dimensions(*pixels.shape[:2])} pixels, its "
                f"image {pair.entry.name} {dimensions(*size)}: give each map the size of its image"
            )
        return pixels

    def _fitted(self, pair: _Pair, nearest: bool) -> NDArray[np.uint8]:
        return fitted(self._pixels(pair), self.size, self.fit, nearest=nearest)

    def _pixels(self, pair: _Pair) -> NDArray[np.uint8]:
        try:
            return map_pixels(self._bytes(pair))
        except RejectedError as rejected:
            raise self._unread(pair, rejected) from rejected

    def _bytes(self, pair: _Pair) -> bytes:
        try:
            return pair.read()
        except (OSError, ValueError) as error:
            raise self._unread(pair, error) from error

    def _unread(self, pair: _Pair, error: Exception) -> DataError:
        return DataError(
            f"{self.where}: map {pair.name} of {pair.entry.name} cannot be read: {error}"
        )
