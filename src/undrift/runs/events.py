"""``metrics.jsonl``: what happened in a run, one JSON object per line, append-only.

Events and their entries: ``expectation`` (what `undrift.runs.expectation` says before the first
step), ``start`` (step), ``probe`` (seconds_per_step, steps, seconds), ``replan`` (step, steps,
before, elapsed, seconds_per_step), ``train`` (step, images, loss, grad_norm, learning_rate,
images_per_second, data_wait, skipped, level_bins, level_losses; of a GAN, phases), ``validation``
(step, images, weights, seconds; loss, log_snr, losses, standard_errors, gaussian, condition_gaps,
which `undrift.training.condition_gap` describes; of a student, loss and condition_gaps, or
sample_distance; of a GAN, what
`undrift.training.learners.gan_diagnostics` measures), ``evaluation`` (step, images, seconds, and
what `undrift.runs.periodic_evaluation` measures), ``grid`` and ``one_step`` (step, file, weights,
seconds; `undrift.pipelines.diffusion.one_step` describes the picture of the latter), ``checkpoint``
(step, seconds, bytes), ``skip`` (step, reason), ``verdict`` (state and verdict of a run that had to
stop), ``done`` (step, images). Each has ``time``, seconds since the epoch.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from undrift.errors import ModelFileError, shown
from undrift.files.document import Document
from undrift.files.durable import writing
from undrift.files.filesystem import open_own
from undrift.files.reading import mapping, parse_json, read_bytes
from undrift.json_types import JsonObject, JsonValue

Entry = TypeVar("Entry", str, int, float)

_ALWAYS = {
    "start": ("step",),
    "train": ("step", "images"),
    "validation": ("step", "images"),
    "evaluation": ("step",),
}
"""What events of a kind need besides their kind and time."""

_WANTED = {str: "a text", int: "a whole number", float: "a number"}
_ADVICE = "restore the file or delete that line"


class EventLog:
    """Appends events to a file; a torn last line, left by a killed writer, is cut first."""

    def __init__(self, path: Path) -> None:
        _cut_torn_line(path)
        self._path = path
        # without a buffer: what a full disk refuses is not tried again when the file is closed
        self._file = open(path, "ab", buffering=0, opener=open_own)

    def write(self, event: str, **entries: JsonValue) -> None:
        """Append one event and flush it to the operating system.

        Raises:
            UsageError: the file cannot be written.
        """
        line = json.dumps({"event": event, "time": time.time(), **entries}, allow_nan=False)
        with writing(self._path):
            rest = memoryview(line.encode() + b"\n")
            while rest:
                rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, kw_only=True)
class Event(Document):
    """One line of the file; what an event of its kind may lack is None.

    Attributes:
        kind: what happened, such as ``train``.
        time: seconds since the epoch.
        step: optimiser updates before it.
        images: real images seen before it.
        seconds: that it took.
        loss: of training or validation.
        weights: "ema" or "raw".
    """

    kind: str
    time: float
    step: int | None
    images: int | None
    seconds: float | None
    loss: float | None
    weights: str | None

    @classmethod
    def of(cls, entries: JsonObject, where: str) -> Event:
        """The event of a line.

        Raises:
            ModelFileError: an entry is missing, or of another type; the message begins with
                ``where``.
        """
        return cls(
            kind=_entry(entries, "event", str, where) or "",
            time=_entry(entries, "time", float, where) or 0.0,
            step=_entry(entries, "step", int, where),
            images=_entry(entries, "images", int, where),
            seconds=_entry(entries, "seconds", float, where),
            loss=_entry(entries, "loss", float, where),
            weights=_entry(entries, "weights", str, where),
            entries=entries,
        )


def read_events(path: Path) -> list[Event]:
    """Every whole event of ``path``, oldest first; none where there is no file.

    Raises:
        ModelFileError: if it cannot be read, or a line other than the last is no event.
    """
    if not os.path.lexists(path):
        return []
    lines = read_bytes(path, ModelFileError, "restore the file").split(b"\n")
    return [
        _event(line, f"{path}: line {number}") for number, line in enumerate(lines[:-1], start=1)
    ]


def _event(line: bytes, where: str) -> Event:
    plain = parse_json(line, where, ModelFileError, _ADVICE)
    return Event.of(mapping(plain, where, ModelFileError, _ADVICE), where)


def _entry(entries: JsonObject, name: str, kind: type[Entry], where: str) -> Entry | None:
    """An entry that readers count on; None where its event need not have it.

    Raises:
        ModelFileError: it is missing, or of another type.
    """
    event = entries.get("event")
    needed = {"event", "time", *(_ALWAYS.get(event, ()) if isinstance(event, str) else ())}
    value = entries.get(name)
    if value is None and name not in needed:
        return None
    accepted = int | float if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ModelFileError(f"{where}: {name} {shown(value)}, wanted {_WANTED[kind]}; {_ADVICE}")
    return kind(value)


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b", opener=open_own) as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        os.fsync(file.fileno())
