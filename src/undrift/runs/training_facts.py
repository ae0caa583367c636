"""What the events of a run say of its training: how long, how much, and to what end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events

_LOOP = ("start", "train", "validation", "grid", "evaluation", "checkpoint", "skip")
"""Events of the training itself; what follows them, samples and a report, is no training."""


@dataclass(frozen=True)
class TrainingFacts:
    """Length and cost of a run's training.

    Attributes:
        steps: optimiser updates.
        images: real images seen.
        seconds: of wall clock from the probe to the last step, periodic evaluations included, over
            all processes that worked on it.
        starts: how many those were.
        health: state by the last periodic evaluation (see `undrift.runs.collapse`); None where
            none was made.
    """

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    starts: int = 0
    health: str | None = None


def training_facts(directory: Path) -> TrainingFacts:
    """Facts of a run, finished or not.

    Raises:
        ModelFileError: events that cannot be read.
    """
    steps = images = starts = 0
    seconds, began, health = 0.0, None, None
    last = 0.0
    for event in read_events(RunDirectory(directory).events):
        kind, time = event.kind, event.time
        if kind == "start":
            seconds += 0.0 if began is None else last - began
            began, starts = time, starts + 1
        if kind in _LOOP:
            last = time
        if kind == "train":
            steps, images = event.step or 0, event.images or 0
        if kind == "evaluation":
            health = event.text("state") or None
        if kind == "probe":
            seconds += event.seconds or 0.0
    seconds += 0.0 if began is None else last - began
    return TrainingFacts(steps, images, seconds, starts, health)
