"""Decoded images on disk: one folder per content and settings, which appears whole or not at all.

``$UNDRIFT_CACHE/data/<key>/`` holds ``images.npy`` (memory-mapped), ``hashes.npy``, ``facts.json``
and a manifest. It is made beside its place and renamed; a lock keeps two processes from decoding
the same data at once. The manifest is verified at every opening: a damaged entry is made again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.files.cache import cache_directory
from undrift.files.durable import beside, staged, write_synced
from undrift.files.filesystem import LOCAL
from undrift.files.reading import parse_json
from undrift.schema import from_plain, to_plain

ARRAYS = ("images.npy", "hashes.npy")
FACTS = "facts.json"

Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Decoded(Generic[Facts]):
    """What the cache holds of one data set.

    Attributes:
        images: uint8 (N, H, W, C), read-only, on disk.
        hashes: uint64 (N,), equal for equal pixels.
        facts: what was found while decoding.
    """

    images: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    facts: Facts


def cached(key: str, build: Callable[[Path], Facts], kind: type[Facts]) -> Decoded[Facts]:
    """Return the entry ``key``, made by ``build`` if it is not there or damaged.

    Args:
        key: hexadecimal name that stands for content and settings.
        build: writes ``images.npy`` and ``hashes.npy`` into a folder and returns the facts.
        kind: the dataclass of the facts.

    Raises:
        UsageError: the cache cannot be written.
    """
    place = cache_directory() / "data" / key
    # A finished entry is read without the lock, so a read-only cache serves too.
    found = opened_entry(place, kind)
    if found is not None:
        return found
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place.with_suffix(".lock")):
            found = opened_entry(place, kind)
            if found is None:
                make_entry(place, build)
                found = opened_entry(place, kind)
    except OSError as error:
        raise UsageError(
            f"the cache {place.parent} cannot be written ({error.strerror or error}): "
            "set UNDRIFT_CACHE to a folder with space"
        ) from error
    if found is None:
        raise UsageError(f"the cache {place} does not keep what is written: set UNDRIFT_CACHE")
    return found


def make_entry(place: Path, build: Callable[[Path], object]) -> None:
    """Build in a folder of its own, then rename it into place. The caller holds the lock."""
    for leftover in place.parent.glob(f".{place.name}.*"):
        # Nobody else writes under the lock: this is what a killed process left.
        LOCAL.remove_tree(leftover)
    with staged(beside(place)) as staging:
        facts = json.dumps(to_plain(build(staging))).encode()
        write_synced(staging / FACTS, facts)
        listing = {FACTS: manifest.facts(facts)}
        for name in ARRAYS:
            LOCAL.sync_file(staging / name)
            listing[name] = manifest.facts_of_file(staging / name)
        write_synced(staging / manifest.NAME, manifest.encode(listing))
        LOCAL.sync_directory(staging)
        if os.path.lexists(place):
            # Damaged, or this would not run; processes that have it mapped keep their pages.
            LOCAL.remove_tree(place)
        LOCAL.rename(staging, place)
    LOCAL.sync_directory(place.parent)


def opened_entry(place: Path, kind: type[Facts]) -> Decoded[Facts] | None:
    """Open and verify an entry; None where it is not there or not what was written."""
    try:
        files = manifest.read_manifest(place, advice="delete it, it is made again")
        files.require([FACTS, *ARRAYS])
        for name in ARRAYS:
            files.check(name)
        where = str(place / FACTS)
        facts = from_plain(kind, parse_json(files.read(FACTS), where, ModelFileError, ""), where)
        images = np.load(place / "images.npy", mmap_mode="r", allow_pickle=False)
        hashes = np.load(place / "hashes.npy", allow_pickle=False)
    except (ModelFileError, UsageError, OSError, ValueError):
        return None
    return Decoded(images, hashes, facts)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the system frees it when the process dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
