"""What is measured of finished runs beyond a table: one piece, one process, one file.

A piece is a measurement with a name; ``undrift claims ... --part NAME`` makes it and writes
``parts/NAME.json``, so that pieces run wherever runs do and are not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undrift.claims.study import Study
from undrift.comparison import Command, Outcome, read_json, reason_of, write_json

Record = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """One measurement.

    Attributes:
        name: ``kind/run`` or the like; unique.
        measure: makes it.
    """

    name: str
    measure: Callable[[], Record]

    def path(self, folder: Path) -> Path:
        """Its file in the study's folder."""
        return folder / "parts" / f"{self.name.replace('/', '_')}.json"

    def make(self, folder: Path) -> None:
        """Measure in this process and write the file, with the processor time of all its threads.

        Raises:
            UsageError: if it cannot be written.
        """
        before = time.process_time()
        record = self.measure()
        record = {**record, "cpu_seconds": time.process_time() - before}
        write_json(self.path(folder), record)


def known(pieces: Sequence[Piece], folder: Path) -> dict[str, Record]:
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
        """Whether its file is there, and whole."""
        return read_json(self.piece.path(self._study.folder)) is not None

    @property
    def _log(self) -> Path:
        return self._study.folder / "logs" / f"{self.piece.name.replace('/', '_')}.txt"

    def next(self) -> Command | None:
        """See `Work.next`."""
        if self._asked or self.made:
            return None
        self._asked = True
        self._log.parent.mkdir(parents=True, exist_ok=True)
        words = (*self._study.words, "--part", self.piece.name)
        return Command(words, self._log, self._threads)

    def ended(self, outcome: Outcome) -> None:
        """See `Work.ended`."""
        if outcome.code:
            self.failed = reason_of(outcome.code, self._log)
