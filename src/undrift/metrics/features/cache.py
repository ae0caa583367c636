"""Trained feature networks in the cache folder: safetensors weights and a JSON beside them.

Weights are written first and the JSON, which holds their hash, last, each by an atomic rename: a
JSON that is there and agrees with its weights is a finished entry. Anything else is reported and
made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from undrift.errors import ModelFileError
from undrift.files.cache import cache_directory
from undrift.files.durable import write_file
from undrift.files.manifest import facts
from undrift.files.reading import read_bytes, read_mapping
from undrift.files.tensors import parse_tensors
from undrift.json_types import JsonValue

_log = logging.getLogger("undrift")


def features_directory() -> Path:
    """The part of the cache directory that metrics own."""
    return cache_directory() / "features"


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over names, types, shapes and bytes of ``tensors``: equal weights, equal hash."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def read(directory: Path, key: str) -> dict[str, Tensor] | None:
    """The weights stored under ``key``, or None if there are none that pass their checks."""
    record_path, weights_path = _paths(directory, key)
    if not record_path.exists():
        return None
    try:
        record = read_mapping(record_path, ModelFileError, "delete it")
        blob = read_bytes(weights_path, ModelFileError, "delete it")
        if record["key"] != key or record["sha256"] != facts(blob)["sha256"]:
            raise ValueError("hash does not match")
        return parse_tensors(blob, str(weights_path), ModelFileError, "delete it")
    except (ModelFileError, ValueError, KeyError, TypeError) as error:
        _log.warning("cached features %s are damaged (%s): making them again", record_path, error)
        return None


def write(
    directory: Path, key: str, tensors: Mapping[str, Tensor], notes: Mapping[str, JsonValue]
) -> None:
    """Store ``tensors`` under ``key`` with ``notes`` in the JSON; a full disk is only reported."""
    record_path, weights_path = _paths(directory, key)
    blob = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    record = {"key": key, **facts(blob), **notes}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # What a power cut takes away is found damaged and made again: no need to wait for a disk.
        write_file(weights_path, blob, durable=False)
        write_file(record_path, json.dumps(record, indent=1).encode(), durable=False)
    except OSError as error:
        _log.warning("features are not cached: %s cannot be written (%s)", directory, error)


def _paths(directory: Path, key: str) -> tuple[Path, Path]:
    return directory / f"{key}.json", directory / f"{key}.safetensors"
