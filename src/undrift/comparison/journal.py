"""What is finished of a comparison, as files: a comparison that was cut short goes on behind it.

::

    OUT/  protocol.json   what all runs share; a command with other settings is refused
          arms.json       what the runs of each arm have of their own, likewise
          runs/CELL/      the runs themselves, as ``undrift train`` writes them
          logs/CELL.txt   what their commands printed
          cells/          CELL-training.json, CELL-KEY.json (its result), CELL-speed.json
          slurm/          what submitit ships to a cluster's nodes and back
          report.json  compare-*.png  report.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undrift.comparison.cells import Cell
from undrift.errors import UsageError, shown
from undrift.files.durable import write_output
from undrift.files.reading import read_mapping

PROTOCOL, ARMS = "protocol.json", "arms.json"
OWN = frozenset({"LOCK", "runs", "logs", "cells", "slurm"})
"""What a comparison may hold that was stopped before it wrote ``protocol.json``."""


class Journal:
    """The files of one comparison.

    Args:
        folder: of the comparison.
        measured_by: plain data that says how runs are measured; results of another way stay apart.
    """

    def __init__(self, folder: Path, measured_by: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(dict(measured_by), sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:12]

    def run(self, cell: Cell) -> Path:
        """Folder of the run of ``cell``."""
        return self.folder / "runs" / cell.name

    def log(self, cell: Cell) -> Path:
        """What the commands of ``cell`` print."""
        return self.folder / "logs" / f"{cell.name}.txt"

    def evaluation(self, cell: Cell) -> Path:
        """Where the run of ``cell`` is measured into."""
        return self.folder / "cells" / f"{cell.name}-{self._key}-evaluation.json"

    def prepare(self, protocol: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the folders; keep what all runs share, or compare it with what is there.

        Args:
            protocol: of all runs.
            arms: arm and ledger, by name -> what its runs have of their own; new ones join those
                that are there.

        Raises:
            UsageError: what is there was trained in another way, is damaged, or cannot be written.
        """
        path = self.folder / PROTOCOL
        try:
            for name in ("runs", "logs", "cells"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_same(self.folder, whole_json(path), protocol)
            else:
                write_json(path, protocol)
            path = self.folder / ARMS
            there = whole_json(path) if path.exists() else {}
            for name, arm in arms.items():
                check_same(self.folder, there.get(name, arm), arm, f"of {name} ")
            write_json(path, {**there, **arms})
        except OSError as error:
            raise UsageError(
                f"--out {self.folder}: {error.strerror or error}; name another folder"
            ) from error

    def trained(self, cell: Cell) -> dict[str, Any] | None:
        """How the training of ``cell`` went; None if it never began."""
        return read_json(self._cells(f"{cell.name}-training"))

    def write_trained(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep how the training of ``cell`` went.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._cells(f"{cell.name}-training"), record)

    def result(self, cell: Cell) -> dict[str, Any] | None:
        """The result of ``cell``; None if there is none yet, or its file is damaged."""
        record = read_json(self._cells(f"{cell.name}-{self._key}"))
        return record if record is not None and record.get("name") == cell.name else None

    def write_result(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep the result of ``cell``.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._cells(f"{cell.name}-{self._key}"), record)

    def speed(self, cell: Cell) -> dict[str, Any] | None:
        """How fast ``cell`` draws; None if that was not measured."""
        return read_json(self._cells(f"{cell.name}-speed"))

    def write_speed(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep how fast ``cell`` draws.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._cells(f"{cell.name}-speed"), record)

    def _cells(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.json"


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write ``record``.

    Raises:
        UsageError: if it cannot be written.
    """
    data = json.dumps(dict(record), indent=1, allow_nan=False)
    write_output(path, data.encode() + b"\n", durable=False, owned=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in ``path``; None where there is none that can be read."""
    try:
        return read_mapping(path, UsageError, "")
    except UsageError:
        return None


def whole_json(path: Path) -> dict[str, Any]:
    """The object in ``path``, which says how what lies beside it was made.

    Raises:
        UsageError: it is damaged.
    """
    record = read_json(path)
    if record is None:
        raise UsageError(
            f"{path} is damaged: it no longer says how the runs beside it were made; name another "
            "folder"
        )
    return record


def check_same(
    folder: Path, there: Mapping[str, Any], now: Mapping[str, Any], whose: str = ""
) -> None:
    """Refuse to go on in ``folder`` with other settings than what is there was made with.

    Raises:
        UsageError: they differ.
    """
    for name in [*now, *there]:
        # the fingerprint says which images they are, wherever they lie
        if name == "data" or there.get(name) == now.get(name):
            continue
        what = f"{name} {whose}is {shown(there.get(name))} there and {shown(now.get(name))} now"
        if name == "fingerprint":
            before, after = (facts.get("train_images") for facts in (there, now))
            what = f"the images are others ({before} to train on there, {after} now)"
        raise UsageError(
            f"--out {folder}: it holds runs with other settings: {what}; name another folder"
        )
