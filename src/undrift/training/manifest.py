"""MANIFEST.json: what a checkpoint's files were when they were written.

Neither safetensors nor JSON notices a flipped bit; the manifest holds every file's size and
SHA-256. Its own bytes are the one encoding of what it says, and all that it says is checked against
something else (the directory's name, the files), so it needs no checksum of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError

NAME = "MANIFEST.json"
SCHEMA = 1
_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]*\.(safetensors|json)")

Listing = dict[str, dict[str, Any]]
"""File name -> ``bytes`` and ``sha256``."""


def is_file_name(name: str) -> bool:
    """Whether a checkpoint may hold a file ``name``: never a path out of its directory."""
    return _FILE.fullmatch(name) is not None


def facts(data: bytes) -> dict[str, Any]:
    """A file's entry in the listing."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def canonical(value: object) -> bytes:
    """The one JSON encoding of ``value`` that undrift writes.

    Raises:
        ValueError: for NaN and infinities, which JSON cannot say.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def encode(step: int, files: Listing) -> bytes:
    """The manifest of the checkpoint of ``step``."""
    return canonical({"schema": SCHEMA, "step": step, "files": files})


def decode(path: Path, data: bytes, step: int) -> Listing:
    """The listing in a manifest, after checking all that it says about itself.

    Args:
        path: where ``data`` was read from; errors start with it.
        data: the manifest.
        step: the step that the checkpoint's name says.

    Raises:
        ModelFileError: if it is not a manifest that ``encode`` wrote for that step.
    """
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise fault(path, "is not JSON") from error
    if isinstance(manifest, dict) and manifest.get("schema", SCHEMA) != SCHEMA:
        given = manifest["schema"]
        raise fault(path, f"has schema {given!r}, this version of undrift reads {SCHEMA}")
    if not _well_formed(manifest) or canonical(manifest) != data:
        raise fault(path, "is not a manifest that undrift wrote")
    if manifest["step"] != step:
        raise fault(path, f"belongs to step {manifest['step']}, not to step {step}")
    return manifest["files"]


def check(path: Path, data: bytes, listing: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare a file with its entry in the listing.

    Raises:
        ModelFileError: if its size or its SHA-256 differs.
    """
    wanted = listing[path.name]
    if len(data) != wanted["bytes"]:
        raise fault(path, f"has {len(data)} bytes, wanted {wanted['bytes']}")
    if facts(data) != wanted:
        raise fault(path, "does not match its SHA-256 in the manifest")


def fault(path: Path, text: str) -> ModelFileError:
    """The error for a file of a checkpoint that cannot be used."""
    return ModelFileError(f"{path} {text}; use another checkpoint")


def _well_formed(manifest: object) -> bool:
    if not isinstance(manifest, dict) or manifest.keys() != {"schema", "step", "files"}:
        return False
    files = manifest["files"]
    return (
        isinstance(files, dict)
        and all(is_file_name(name) for name in files)
        and all(isinstance(f, dict) and f.keys() == {"bytes", "sha256"} for f in files.values())
    )
