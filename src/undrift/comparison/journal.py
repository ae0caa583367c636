"""What is finished of a comparison, as files, so that an interrupted one is resumed.

::

    OUT/  protocol.json   what all runs share; a command with other settings is refused
          arms.json       settings of each method's own, likewise
          runs/RUN/       the runs themselves, as ``undrift train`` writes them
          logs/RUN.txt    what their commands printed
          cells/          RUN-training.json, RUN-KEY.json (its result), RUN-speed.json
          slurm/          what submitit ships to a cluster's nodes and back
          report.json  compare-*.png  report.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TypeVar

from undrift.advice import named
from undrift.comparison.methods import Run
from undrift.errors import UsageError, shown
from undrift.files.durable import write_output
from undrift.files.reading import read_mapping
from undrift.json_types import JsonObject
from undrift.results.comparison import FailedRun, MeasuredRun, MethodSpeed, Setting, SharedSettings
from undrift.schema import one_of, stored_key, to_plain

PROTOCOL, METHODS = "protocol.json", "arms.json"
OWN = frozenset({"LOCK", "runs", "logs", "cells", "slurm"})
"""What a comparison may hold that was stopped before it wrote ``protocol.json``."""

_ADDED = {
    stored_key(field): to_plain(field.default)
    for field in fields(SharedSettings)
    if field.default is not MISSING
}
"""Settings that a comparison begun by an earlier version does not name."""

Stored = TypeVar("Stored")


@dataclass(frozen=True)
class MeasuredBy:
    """How runs are measured; results of another way are stored apart.

    Attributes:
        version: of undrift.
        metrics: their names.
        n: samples.
        reference: reference images; None is the held-out images.
        features: feature space and its weights.
        split: of the reference images.
        seed: of the samples.
        device: where to compute.
        threads: CPU threads.
    """

    version: str
    metrics: tuple[str, ...]
    n: int
    reference: str | None
    features: tuple[str, str | None]
    split: str | None
    seed: int
    device: str
    threads: int


@dataclass(frozen=True)
class Attempt:
    """A process that trained a run.

    Attributes:
        code: its exit code.
        seconds: wall clock.
        cpu: processor time in seconds; None where it is unknown.
    """

    code: int
    seconds: float
    cpu: float | None


@dataclass(frozen=True)
class Attempts:
    """All processes that trained a run, one after another."""

    attempts: tuple[Attempt, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall clock of all."""
        return sum(one.seconds for one in self.attempts)

    @property
    def cpu_seconds(self) -> float | None:
        """Processor time of those of which it is known; None if it is of none."""
        known = [one.cpu for one in self.attempts if one.cpu is not None]
        return sum(known) if known else None

    @property
    def processor_share(self) -> float | None:
        """Processor time over wall clock; None where no processor time is known."""
        wall = sum(one.seconds for one in self.attempts if one.cpu is not None)
        return (self.cpu_seconds or 0.0) / wall if wall else None


class Journal:
    """The files of one comparison.

    Args:
        folder: of the comparison.
        measured_by: how runs are measured.
    """

    def __init__(self, folder: Path, measured_by: MeasuredBy) -> None:
        self.folder = folder
        text = json.dumps(to_plain(measured_by), sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:12]

    def run(self, run: Run) -> Path:
        """Folder of ``run``."""
        return self.folder / "runs" / run.name

    def log(self, run: Run) -> Path:
        """What the commands of ``run`` print."""
        return self.folder / "logs" / f"{run.name}.txt"

    def evaluation(self, run: Run) -> Path:
        """Where the evaluation of ``run`` is written."""
        return self._file(f"{run.name}-{self._key}-evaluation")

    def prepare(
        self, protocol: SharedSettings, methods: Mapping[str, Mapping[str, Setting]]
    ) -> None:
        """Make the folders; store what all runs share, or compare it with what is stored.

        Args:
            protocol: of all runs.
            methods: method and budget, by name -> settings of their own; new ones join those that
                are stored.

        Raises:
            UsageError: what is stored was trained otherwise, is damaged, or cannot be written.
        """
        path = self.folder / PROTOCOL
        plain = to_plain(protocol)
        try:
            for name in ("runs", "logs", "cells"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_same(self.folder, {**_ADDED, **whole_json(path)}, plain)
            else:
                write_json(path, plain)
            path = self.folder / METHODS
            there = whole_json(path) if path.exists() else {}
            for name, own in methods.items():
                before = there.get(name, own)
                check_same(
                    self.folder, before if isinstance(before, Mapping) else {}, own, f"of {name} "
                )
            write_json(path, {**there, **methods})
        except OSError as error:
            raise UsageError(
                f"{named('out')} {self.folder}: {error.strerror or error}; name another folder"
            ) from error

    def trained(self, run: Run) -> Attempts | None:
        """The processes that trained ``run``; None if there was none."""
        return read_stored((Attempts,), self._file(f"{run.name}-training"))

    def write_trained(self, run: Run, attempts: Attempts) -> None:
        """Store the processes that trained ``run``.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._file(f"{run.name}-training"), to_plain(attempts))

    def result(self, run: Run) -> MeasuredRun | FailedRun | None:
        """The result of ``run``; None if there is none yet, or its file is damaged."""
        found = read_stored((MeasuredRun, FailedRun), self._file(f"{run.name}-{self._key}"))
        return found if found is not None and found.name == run.name else None

    def write_result(self, run: Run, result: MeasuredRun | FailedRun) -> None:
        """Store the result of ``run``.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._file(f"{run.name}-{self._key}"), to_plain(result))

    def speed(self, run: Run) -> MethodSpeed | None:
        """What sampling with ``run`` costs; None if that was not measured."""
        return read_stored((MethodSpeed,), self._file(f"{run.name}-speed"))

    def write_speed(self, run: Run, speed: MethodSpeed) -> None:
        """Store what sampling with ``run`` costs.

        Raises:
            UsageError: if it cannot be written.
        """
        write_json(self._file(f"{run.name}-speed"), to_plain(speed))

    def _file(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.json"


def write_json(path: Path, plain: Mapping[str, object]) -> None:
    """Write ``plain``.

    Raises:
        UsageError: if it cannot be written.
    """
    data = json.dumps(dict(plain), indent=1, allow_nan=False)
    write_output(path, data.encode() + b"\n", durable=False, owned=True)


def read_stored(kinds: tuple[type[Stored], ...], path: Path) -> Stored | None:
    """One of ``kinds`` from ``path``; None where there is none that can be read."""
    try:
        return one_of(kinds, read_mapping(path, UsageError, ""), str(path))
    except UsageError:
        return None


def whole_json(path: Path) -> JsonObject:
    """The object in ``path``, which says how the files beside it were made.

    Raises:
        UsageError: it is damaged.
    """
    try:
        return read_mapping(path, UsageError, "")
    except UsageError as error:
        raise UsageError(
            f"{path} is damaged: it no longer says how the runs beside it were made; name another "
            "folder"
        ) from error


def check_same(
    folder: Path, there: Mapping[str, object], now: Mapping[str, object], whose: str = ""
) -> None:
    """Refuse to resume in ``folder`` with other settings than those it was begun with.

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
            f"{named('out')} {folder}: it holds runs with other settings: {what}; name another "
            "folder"
        )
