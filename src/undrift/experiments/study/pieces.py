"""What is measured of finished runs beyond a table: one piece, one process, one file.

A piece is a measurement with a name; ``undrift claims ... --part NAME`` makes it and writes
``parts/NAME.json``, so that pieces run wherever runs do and are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undrift.errors import UsageError
from undrift.experiments.compare import Command, Compare, Outcome, read_json
from undrift.experiments.compare.cells import Cell
from undrift.experiments.study.asked import Study
from undrift.files.durable import write_file

Record = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """One measurement.

    Attributes:
        name: ``kind/table/cell`` or the like; unique.
        measure: makes it.
    """

    name: str
    measure: Callable[[], Record]

    def path(self, folder: Path) -> Path:
        """Its file in the study's folder."""
        return folder / "parts" / f"{self.name.replace('/', '_')}.json"


def run_of(table: Compare, cell: Cell) -> Path:
    """Folder of a run."""
    return Path(table.out) / "runs" / cell.name


def cells_of(table: Compare, done: Sequence[str], kind: str | None = None) -> list[Cell]:
    """Finished cells of ``table``, of one ledger if ``kind`` names it."""
    return [
        cell
        for cell in table.cells
        if cell.name in done and (kind is None or cell.ledger.kind == kind)
    ]


def make(piece: Piece, folder: Path) -> None:
    """Measure ``piece`` in this process and write its file.

    Raises:
        UsageError: if it cannot be written.
    """
    record = piece.measure()
    path = piece.path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        write_file(path, text.encode(), durable=False)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; name another --out"
        ) from error


def known(pieces: Sequence[Piece], folder: Path) -> Mapping[str, Record]:
    """Records of the pieces that were made, by name."""
    found = {piece.name: read_json(piece.path(folder)) for piece in pieces}
    return {name: record for name, record in found.items() if record is not None}


def recorded(pieces: Mapping[str, Record], kind: str) -> list[Record]:
    """Records of one kind."""
    return [record for record in pieces.values() if record.get("kind") == kind]


class PieceWork:
    """The command that makes one piece.

    Args:
        piece: what.
        study: of what.
        threads: CPU threads.

    Attributes:
        piece: what is made.
        failed: the reason, if it could not be.
    """

    def __init__(self, piece: Piece, study: Study, threads: int) -> None:
        self.piece = piece
        self.failed: str | None = None
        self._study = study
        self._threads = threads
        self._asked = False

    @property
    def made(self) -> bool:
        """Whether its file is there."""
        return self.piece.path(self._study.folder).exists()

    def next(self) -> Command | None:
        """See `Work.next`."""
        if self._asked or self.made:
            return None
        self._asked = True
        log = self._study.folder / "logs" / f"{self.piece.name.replace('/', '_')}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        words = (*self._study.words, "--part", self.piece.name)
        return Command(words, log, self._threads)

    def ended(self, outcome: Outcome) -> None:
        """See `Work.ended`."""
        if outcome.code:
            self.failed = f"ended with code {outcome.code}"
