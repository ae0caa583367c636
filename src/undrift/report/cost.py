"""Where the time went, by part, and what it bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undrift.report.history import History

_WORDS = {
    "probe": "throughput probe",
    "training": "training steps",
    "validation": "validation",
    "grid": "sample grids",
    "one_step": "one-step denoising",
    "evaluation": "periodic evaluations",
    "checkpoint": "checkpoints",
    "sampling": "final sampling",
    "metrics": "metrics",
}
_ALIASES = {"grids": "grid", "checkpoints": "checkpoint"}
_PERIODIC = ("validation", "grid", "one_step", "evaluation", "checkpoint")


@dataclass(frozen=True)
class Part:
    """One part of the time.

    Attributes:
        name: in words.
        seconds: wall clock.
        share: of the whole, in [0, 1].
    """

    name: str
    seconds: float
    share: float


def time_by_part(history: History, given: Mapping[str, float]) -> list[Part]:
    """Seconds by part, from ``given`` where it says them and from the events elsewhere.

    Training is what everything else in the loop leaves of the loop's time.
    """
    seconds = {name: float(history.seconds.get(name, 0.0)) for name in _WORDS}
    seconds |= {_ALIASES.get(name, name): float(value) for name, value in given.items()}
    words = dict(_WORDS)
    if not seconds["validation"] and not seconds["grid"]:
        words["training"] = "training, validation and grids"  # which were not timed separately
    if "training" not in given:
        periodic = sum(seconds[name] for name in _PERIODIC)
        seconds["training"] = max(0.0, history.elapsed - periodic)
    total = sum(seconds.values())
    return [
        Part(words.get(name, name), value, value / total)
        for name, value in seconds.items()
        if value > 0
    ]


def duration(seconds: float) -> str:
    """``3 min 20 s``-style time."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest:02d} min"
