"""MANIFEST.json of a saved pipeline: the size and SHA-256 of every other file.

Neither safetensors nor JSON notices a flipped bit. The manifest's own bytes are the one encoding of
what it says, and all that it says is checked against the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError

NAME = "MANIFEST.json"
SCHEMA = 1


def encode(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of these files: name -> content."""
    return _canonical({"schema": SCHEMA, "files": {name: _facts(files[name]) for name in files}})


def read_verified(directory: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read files and return name -> content, after comparing each with the manifest.

    What is checked is what is returned: nothing is read twice. Files that the manifest does not
    list are never looked at.

    Args:
        directory: where they are.
        names: the files that must be there, all that the manifest may list.

    Raises:
        ModelFileError: if the manifest or a file is missing, unreadable or differs.
    """
    listing = _listing(directory / NAME, names)
    files = {name: _read(directory / name) for name in names}
    for name, data in files.items():
        wanted = listing[name]
        if len(data) != wanted["bytes"]:
            raise _fault(directory / name, f"has {len(data)} bytes, wanted {wanted['bytes']}")
        if _facts(data) != wanted:
            raise _fault(directory / name, "does not match its SHA-256 in the manifest")
    return files


def _listing(path: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    data = _read(path)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _fault(path, "is not JSON") from error
    if isinstance(manifest, dict) and manifest.get("schema", SCHEMA) != SCHEMA:
        raise _fault(path, f"has schema {manifest['schema']!r}, this version reads {SCHEMA}")
    if not _well_formed(manifest) or _canonical(manifest) != data:
        raise _fault(path, "is not a manifest that undrift wrote")
    if manifest["files"].keys() != set(names):
        listed = ", ".join(manifest["files"]) or "nothing"
        raise _fault(path, f"lists {listed}, wanted {', '.join(names)}")
    return manifest["files"]


def _well_formed(manifest: object) -> bool:
    if not isinstance(manifest, dict) or manifest.keys() != {"schema", "files"}:
        return False
    files = manifest["files"]
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and entry.keys() == {"bytes", "sha256"} for entry in files.values()
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _fault(path, "is missing") from error
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})") from error


def _facts(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"


def _fault(path: Path, text: str) -> ModelFileError:
    return ModelFileError(f"{path} {text}; save the pipeline again or use another")
