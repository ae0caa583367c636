"""What the events of a run say of its training: how long, how much, and to what end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events

_LOOP = ("start", "train", "validation", "grid", "evaluation", "checkpoint", "skip")
"""Events of the training itself; what follows them, samples and a report, is no training."""


UNKNOWN: dict[str, Any] = {"steps": 0, "images": 0, "seconds": 0.0, "starts": 0, "health": None}
"""Facts of a run that left none."""


def training_facts(directory: Path) -> dict[str, Any]:
    """Length and cost of a run's training, finished or not.

    Returns:
        ``steps`` and real ``images`` that were made; ``seconds`` of wall clock from the probe to
        the last step, looks on the way included, over all processes that worked on it; ``starts``,
        how many those were; ``health``, the state that the last evaluation on the way put the run
        in (see `undrift.runs.collapse`), or None where none was made.

    Raises:
        ModelFileError: events that cannot be read.
    """
    steps = images = starts = 0
    seconds, began, health = 0.0, None, None
    last = 0.0
    for event in read_events(RunDirectory(directory).events):
        kind, time = event["event"], event["time"]
        if kind == "start":
            seconds += 0.0 if began is None else last - began
            began, starts = time, starts + 1
        if kind in _LOOP:
            last = time
        if kind == "train":
            steps, images = event["step"], event["images"]
        if kind == "evaluation":
            health = event.get("state")
        if kind == "probe":
            seconds += event.get("seconds") or 0.0
    seconds += 0.0 if began is None else last - began
    return {
        "steps": steps,
        "images": images,
        "seconds": seconds,
        "starts": starts,
        "health": health,
    }
