"""Measured points as files, one each: a curve that was cut short goes on after the last of them.

They lie in ``curve/<key>/`` beside the result. The key names all that the numbers depend on but the
sampler and its steps, so that a second curve takes over what the first has measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError
from undrift.evaluation.curve.cells import Cell
from undrift.files.durable import write_output
from undrift.files.reading import read_mapping


class Journal:
    """The measured points of one model under one protocol.

    Args:
        folder: where the result lies; ``curve/<key>/`` is made in it.
        depends_on: plain data that names the model, the reference and the protocol.
    """

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        text = json.dumps(dict(depends_on), sort_keys=True)
        self._folder = folder / "curve" / hashlib.sha256(text.encode()).hexdigest()[:16]

    def read(self, cell: Cell) -> dict[str, Any] | None:
        """What was measured of ``cell``; None if nothing was, or its file is damaged."""
        try:
            record = read_mapping(self._path(cell), ModelFileError, "")
        except ModelFileError:
            return None
        if not isinstance(record.get("metrics"), dict):
            return None
        same = (record.get("sampler"), record.get("nfe"), record.get("steps")) == (
            cell.sampler,
            cell.nfe,
            cell.steps,
        )
        return record if same else None

    def write(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep what was measured of ``cell``.

        Raises:
            UsageError: if it cannot be written.
        """
        data = json.dumps(dict(record), indent=1, allow_nan=False)
        write_output(self._path(cell), data.encode() + b"\n", durable=False, owned=True)

    def _path(self, cell: Cell) -> Path:
        return self._folder / f"{cell.name}.json"
