"""MANIFEST.json: what a directory's files were when they were written.

Neither safetensors nor JSON notices a flipped bit; the manifest holds every file's size and
SHA-256. Its own bytes are the one encoding of what it says, and all that it says is checked against
something else (what the reader knows of the directory, the files), so it needs no checksum of its
own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeGuard, cast

from undrift.errors import ModelFileError, shown
from undrift.files.filesystem import LOCAL, Filesystem
from undrift.files.reading import open_regular, parse_json, unreadable
from undrift.json_types import JsonObject, JsonValue

NAME = "MANIFEST.json"
SCHEMA = 1
_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Facts(TypedDict):
    """A file's size and hash."""

    bytes: int
    sha256: str


Listing = dict[str, Facts]
"""File name -> its facts."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read; what it lists is verified whenever it is read.

    Attributes:
        directory: where it and the files are.
        listing: the facts of every file.
        advice: what to do about a damaged file; errors end with it.
        filesystem: operations to read through.
    """

    directory: Path
    listing: Listing
    advice: str
    filesystem: Filesystem = LOCAL

    def require(self, names: Collection[str]) -> None:
        """Make sure that exactly these files are listed.

        Raises:
            ModelFileError: if others are.
        """
        if self.listing.keys() != set(names):
            listed = ", ".join(self.listing) or "nothing"
            raise self.fault(NAME, f"lists {listed}, wanted {', '.join(names)}")

    def read(self, name: str) -> bytes:
        """A listed file's content, verified: what is checked is what is returned.

        Raises:
            ModelFileError: if it is missing, unreadable or differs from the listing.
        """
        path = self.directory / name
        data = _read(path, self.advice, self.filesystem)
        compare(path, facts(data), self.listing[name], self.advice)
        return data

    def check(self, name: str) -> None:
        """Verify a listed file of the machine's own filesystem that is too large to be held.

        Raises:
            ModelFileError: as ``read`` does.
        """
        path = self.directory / name
        try:
            found = facts_of_file(path)
        except OSError as error:
            raise unreadable(path, error, ModelFileError, self.advice) from error
        compare(path, found, self.listing[name], self.advice)

    def fault(self, name: str, text: str) -> ModelFileError:
        """The error for a file of the directory that cannot be used."""
        return fault(self.directory / name, text, self.advice)


def is_file_name(name: str) -> bool:
    """Whether a manifest may list a file ``name``: never a path out of its directory."""
    return _FILE.fullmatch(name) is not None


def facts(data: bytes) -> Facts:
    """A file's entry in the listing."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def facts_of_file(path: Path) -> Facts:
    """The entry of a file on disk, which is read block by block.

    Raises:
        OSError: if it cannot be read.
    """
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def canonical(value: object) -> bytes:
    """The one JSON encoding of ``value`` that undrift writes.

    Raises:
        ValueError: for NaN and infinities, which JSON cannot say.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def encode(files: Listing, about: Mapping[str, int] | None = None) -> bytes:
    """The manifest of ``files``.

    Args:
        files: what to list.
        about: further entries, which reading checks.
    """
    return canonical({"schema": SCHEMA, **(about or {}), "files": files})


def read_manifest(
    directory: Path,
    advice: str,
    about: Mapping[str, int] | None = None,
    filesystem: Filesystem = LOCAL,
) -> Manifest:
    """Read the manifest in ``directory`` and check all that it says about itself.

    Args:
        directory: where it is.
        advice: what to do if it or a file that it lists is damaged.
        about: what it must say of the directory.
        filesystem: operations to read through.

    Raises:
        ModelFileError: if it is missing, or not a manifest that ``encode`` wrote for ``about``.
    """
    path, about = directory / NAME, about or {}
    data = _read(path, advice, filesystem)
    found = parse_json(data, str(path), ModelFileError, advice)
    if isinstance(found, dict) and found.get("schema", SCHEMA) != SCHEMA:
        given = found["schema"]
        text = f"has schema {shown(given)}, this version of undrift reads {SCHEMA}"
        raise fault(path, text, advice)
    if not _well_formed(found, about) or canonical(found) != data:
        raise fault(path, "is not a manifest that undrift wrote", advice)
    for key, wanted in about.items():
        if found[key] != wanted:
            text = f"belongs to {key} {shown(found[key])}, not to {key} {wanted}"
            raise fault(path, text, advice)
    return Manifest(directory, cast(Listing, found["files"]), advice, filesystem)


def listed(directory: Path) -> frozenset[str]:
    """Names of the files that are the directory's own; none where no manifest can be read."""
    try:
        found = read_manifest(directory, "")
    except ModelFileError:
        return frozenset()
    return frozenset({NAME, *found.listing})


def compare(path: Path, found: Facts, wanted: Facts, advice: str) -> None:
    """Compare a file's facts with its entry in the listing.

    Raises:
        ModelFileError: if its size or its SHA-256 differs.
    """
    if found["bytes"] != wanted["bytes"]:
        raise fault(path, f"has {found['bytes']} bytes, wanted {shown(wanted['bytes'])}", advice)
    if found != wanted:
        raise fault(path, "does not match its SHA-256 in the manifest", advice)


def fault(path: Path, text: str, advice: str) -> ModelFileError:
    """The error for a path that cannot be used."""
    return ModelFileError(f"{path} {text}; {advice}")


def _read(path: Path, advice: str, filesystem: Filesystem) -> bytes:
    try:
        return filesystem.read(path)
    except OSError as error:
        raise unreadable(path, error, ModelFileError, advice) from error


def _well_formed(found: JsonValue, about: Mapping[str, int]) -> TypeGuard[JsonObject]:
    if not isinstance(found, dict) or found.keys() != {"schema", "files", *about}:
        return False
    files = found["files"]
    return (
        isinstance(files, dict)
        and all(is_file_name(name) for name in files)
        and all(isinstance(f, dict) and f.keys() == {"bytes", "sha256"} for f in files.values())
    )
