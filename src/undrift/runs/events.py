"""``metrics.jsonl``: what happened in a run, one JSON object per line, append-only.

Events and their entries: ``expectation`` (what `undrift.runs.expectation` says before the first
step), ``start`` (step), ``probe`` (seconds_per_step, steps, seconds), ``replan`` (step, steps,
before, elapsed, seconds_per_step), ``train`` (step, images, loss, grad_norm, learning_rate,
images_per_second, data_wait, skipped, level_bins, level_losses; of a GAN, phases), ``validation``
(step, images, weights, seconds; loss, log_snr, losses, standard_errors, gaussian, condition_gaps,
which `undrift.training.condition_gap` describes; of a GAN, what
`undrift.training.learners.gan_diagnostics` says), ``evaluation`` (step, images, seconds, and what
`undrift.runs.judge` says), ``grid`` and ``one_step`` (step, file, weights, seconds;
`undrift.pipelines.diffusion.one_step` says what the picture of the latter shows), ``checkpoint``
(step, seconds, bytes), ``skip`` (step, reason), ``verdict`` (state and verdict of a run that had to
stop), ``done`` (step, images). Each has ``time``, seconds since the epoch.
"""

from __future__ import annotations

import json
import os
import time
import types
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError, shown
from undrift.files.durable import writing
from undrift.files.filesystem import open_own
from undrift.files.reading import mapping, parse_json, read_bytes

_ENTRIES: dict[str, type | types.UnionType] = {
    "event": str,
    "time": int | float,
    "step": int,
    "images": int,
    "seconds": int | float,
    "loss": int | float,
    "weights": str,
}
"""Entries that readers count on, with their types; any may be null unless it is needed."""

_ALWAYS = {
    "start": ("step",),
    "train": ("step", "images"),
    "validation": ("step", "images"),
    "evaluation": ("step",),
}
"""What events of a kind need besides their kind and time."""

_WANTED = {str: "a text", int: "a whole number", int | float: "a number"}


class EventLog:
    """Appends events to a file; a torn last line, left by a killed writer, is cut first."""

    def __init__(self, path: Path) -> None:
        _cut_torn_line(path)
        self._path = path
        # without a buffer: what a full disk refuses is not tried again when the file is closed
        self._file = open(path, "ab", buffering=0, opener=open_own)

    def write(self, event: str, **entries: Any) -> None:  # noqa: ANN401 - any JSON
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


def read_events(path: Path) -> list[dict[str, Any]]:
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


def _event(line: bytes, where: str) -> dict[str, Any]:
    advice = "restore the file or delete that line"
    event = mapping(parse_json(line, where, ModelFileError, advice), where, ModelFileError, advice)
    kind = event.get("event")
    needed = {"event", "time", *(_ALWAYS.get(kind, ()) if isinstance(kind, str) else ())}
    for name, wanted in _ENTRIES.items():
        if name not in event and name not in needed:
            continue
        value = event.get(name)
        nothing = value is None and name not in needed
        if not nothing and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise ModelFileError(
                f"{where}: {name} {shown(value)}, wanted {_WANTED[wanted]}; {advice}"
            )
    return event


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b", opener=open_own) as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        os.fsync(file.fileno())
