"""``metrics.jsonl``: what happened in a run, one JSON object per line, append-only.

Events and their entries: ``expectation`` (what `undrift.runs.expectation` says before the first
step), ``start`` (step), ``probe`` (seconds_per_step, steps, seconds), ``replan`` (step, steps,
before, elapsed, seconds_per_step), ``train`` (step, images, loss, grad_norm, learning_rate,
images_per_second, data_wait, skipped, level_bins, level_losses; of a GAN, phases), ``validation``
(step, images, weights, seconds; loss, log_snr, losses, standard_errors, gaussian; of a GAN, what
`undrift.training.learners.gan_watch` says), ``evaluation`` (step, images, seconds, and what
`undrift.runs.judge` says), ``grid`` and ``one_step`` (step, file, weights, seconds;
`undrift.pipelines.one_step` says what the picture of the latter shows), ``checkpoint`` (step,
seconds, bytes), ``skip`` (step, reason), ``verdict`` (state and verdict of a run that had to stop),
``done`` (step, images). Each has ``time``, seconds since the epoch.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError
from undrift.files.durable import writing
from undrift.files.filesystem import open_own
from undrift.files.reading import mapping, parse_json, read_bytes


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
        ModelFileError: if it cannot be read, or a line other than the last is no JSON object.
    """
    if not os.path.lexists(path):
        return []
    advice = "restore the file or delete that line"
    lines = read_bytes(path, ModelFileError, "restore the file").split(b"\n")
    return [
        mapping(
            parse_json(line, f"{path}: line {number}", ModelFileError, advice),
            f"{path}: line {number}",
            ModelFileError,
            advice,
        )
        for number, line in enumerate(lines[:-1], start=1)
    ]


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b", opener=open_own) as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        os.fsync(file.fileno())
