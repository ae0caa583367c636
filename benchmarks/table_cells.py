"""The cells of the solver table: which sampler, how many steps, and what was measured of each.

Measured cells are kept in a folder, one JSON of all figures and the features of every set of
samples, so that a table that was stopped goes on and differences can be taken pair by pair.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.files.durable import write_file

LEARNED = "learned"


@dataclass(frozen=True)
class Cell:
    """One set of samples.

    Attributes:
        sampler: its name; ``learned`` is the model's own of these steps.
        grid: how the steps are spaced; of a learned sampler eight hex digits of its numbers, of an
            adaptive one nothing.
        budget: network evaluations per image, at most; 0 for adaptive samplers.
        steps: the most steps that cost no more; 0 for adaptive samplers.
        n: images.
        seed: of their noise and labels.
        precision: of the network.
        tolerance: of an adaptive sampler; None for the others.
    """

    sampler: str
    grid: str
    budget: int
    steps: int
    n: int
    seed: int
    precision: str
    tolerance: float | None = None

    @property
    def key(self) -> str:
        """Names all that the figures depend on but the model."""
        how = f"{self.tolerance:g}" if self.tolerance is not None else f"{self.steps}"
        parts = (self.sampler, self.grid or "own", how, self.precision, self.seed, self.n)
        return "-".join(str(part).replace(":", "_") for part in parts)


def steps_within(budget: int, evaluations: int) -> int:
    """The most steps that cost at most ``budget`` evaluations.

    N steps of a rule with two evaluations cost 2 N - 1: its last step, to sigma = 0, takes one.
    """
    if budget < 1:
        raise ValueError(f"budget {budget}: a sampler makes at least one evaluation")
    return 1 + (budget - 1) // evaluations


def cost(steps: int, evaluations: int) -> int:
    """What ``steps`` steps cost."""
    return evaluations * (steps - 1) + 1


class Kept:
    """Figures and features of measured cells, in a folder.

    Args:
        folder: where; made if it is not there.
        about: what all cells share, such as the model; another one is refused.

    Raises:
        SystemExit: if the folder holds cells of something else.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._records: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            stored = json.loads(self._path.read_text())
            if stored["about"] != about:
                raise SystemExit(f"{folder} holds cells of {stored['about']}, not of {about}")
            self._records = stored["cells"]
        self._about = about

    @property
    def _path(self) -> Path:
        return self._folder / "cells.json"

    def read(self, cell: Cell) -> dict[str, Any] | None:
        """What was measured of ``cell``, if it was."""
        return self._records.get(cell.key)

    def all(self) -> list[dict[str, Any]]:
        """Every measured cell."""
        return list(self._records.values())

    def write(self, cell: Cell, found: dict[str, Any], features: NDArray[np.floating]) -> None:
        """Keep what was measured; whole on the disk when it returns."""
        np.save(self._folder / f"{cell.key}.npy", features.astype(np.float32))
        self._records[cell.key] = asdict(cell) | found
        text = json.dumps({"about": self._about, "cells": self._records}, indent=1)
        write_file(self._path, text.encode())

    def beginning(self, cell: Cell, width: int) -> NDArray[np.floating]:
        """(m, width) features of the first images of ``cell``, as far as a smaller one has them."""
        same = asdict(cell) | {"n": 0}
        smaller = [
            one
            for one in map(self._cell, self._records.values())
            if asdict(one) | {"n": 0} == same and one.n < cell.n
        ]
        if not smaller:
            return np.empty((0, width), np.float32)
        return self.features(max(smaller, key=lambda one: one.n))

    @staticmethod
    def _cell(record: dict[str, Any]) -> Cell:
        return Cell(**{field.name: record[field.name] for field in fields(Cell)})

    def features(self, cell: Cell) -> NDArray[np.floating]:
        """(n, D) of the samples of a measured cell."""
        return np.load(self._folder / f"{cell.key}.npy")


def best(records: Sequence[dict[str, Any]], count: int = 1) -> list[dict[str, Any]]:
    """The ``count`` records of least distance, each sampler once."""
    chosen: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda one: one["value"]):
        chosen.setdefault(record["sampler"], record)
    return list(chosen.values())[:count]
