"""Decoded images on disk: one folder per content and settings, which appears whole or not at all.

``$UNDRIFT_CACHE/data/<key>/`` holds ``images.npy`` (memory-mapped), ``hashes.npy`` and
``facts.json``. It is made beside its place and renamed; a lock keeps two processes from decoding
the same data at once. Hashes are verified at every opening: a damaged entry is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

FILES = ("images.npy", "hashes.npy")


@dataclass(frozen=True)
class Decoded:
    """What the cache holds of one data set.

    Attributes:
        images: uint8 (N, H, W, C), read-only, on disk.
        hashes: uint64 (N,), equal for equal pixels.
        facts: what was found while decoding, plain JSON.
    """

    images: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    facts: dict[str, Any]


def cache_folder() -> Path:
    """Return ``$UNDRIFT_CACHE``, or ``~/.cache/undrift`` where it is not set."""
    return Path(os.environ.get("UNDRIFT_CACHE") or "~/.cache/undrift").expanduser()


def cached(key: str, build: Callable[[Path], dict[str, Any]]) -> Decoded:
    """Return the entry ``key``, made by ``build`` if it is not there or damaged.

    Args:
        key: hexadecimal name that stands for content and settings.
        build: writes ``images.npy`` and ``hashes.npy`` into a folder and returns the facts.

    Raises:
        UsageError: the cache cannot be written.
    """
    place = cache_folder() / "data" / key
    # A finished entry is read without the lock, so a read-only cache serves too.
    found = opened_entry(place)
    if found is not None:
        return found
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place.with_suffix(".lock")):
            found = opened_entry(place)
            if found is None:
                make_entry(place, build)
                found = opened_entry(place)
    except OSError as error:
        raise UsageError(
            f"the cache {place.parent} cannot be written ({error.strerror or error}): "
            "set UNDRIFT_CACHE to a folder with space"
        ) from error
    if found is None:
        raise UsageError(f"the cache {place} does not keep what is written: set UNDRIFT_CACHE")
    return found


def make_entry(place: Path, build: Callable[[Path], dict[str, Any]]) -> None:
    """Build in a folder of its own, then rename it into place. The caller holds the lock."""
    for leftover in place.parent.glob(f".{place.name}.*"):
        # Nobody else writes under the lock: this is what a killed process left.
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        facts = build(staging)
        body = json.dumps(
            {"facts": facts, "sha256": {name: sha256(staging / name) for name in FILES}}
        )
        with (staging / "facts.json").open("w", encoding="utf-8") as file:
            file.write(f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}")
        for name in (*FILES, "facts.json"):
            sync(staging / name)
        if place.exists():
            # Damaged, or this would not run; processes that have it mapped keep their pages.
            shutil.rmtree(place)
        staging.chmod(0o755)
        staging.rename(place)
        sync(place.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def opened_entry(place: Path) -> Decoded | None:
    """Open and verify an entry; None where it is not there or not what was written."""
    try:
        digest, _, body = (place / "facts.json").read_text(encoding="utf-8").partition("\n")
        if hashlib.sha256(body.encode()).hexdigest() != digest:
            return None
        written = json.loads(body)
        if any(sha256(place / name) != written["sha256"][name] for name in FILES):
            return None
        images = np.load(place / "images.npy", mmap_mode="r", allow_pickle=False)
        hashes = np.load(place / "hashes.npy", allow_pickle=False)
    except (OSError, UnicodeDecodeError):
        return None
    return Decoded(images, hashes, written["facts"])


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Bring a file or folder to disk before anything relies on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the system frees it when the process dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
