"""What each number of steps of a student costs and gives, beside its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepsValue:
    """A metric with its 95 % interval; None where that cannot be had."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class StepsRow:
    """One model at one number of steps.

    Attributes:
        model: ``teacher`` or ``student``.
        steps: of its sampler.
        nfe: network forwards per image.
        milliseconds: seconds / 1000 of one image drawn alone.
        milliseconds_64: of each of 64 images drawn at once.
        metrics: by name.
    """

    model: str
    steps: int
    nfe: float
    milliseconds: float
    milliseconds_64: float
    metrics: Mapping[str, StepsValue]


@dataclass(frozen=True)
class StepsResult:
    """Rows from the most expensive to the cheapest.

    Attributes:
        rows: the teacher, where there is one, then the student by falling steps.
        n: samples of each.
        threads: CPU threads while they were timed.
    """

    rows: tuple[StepsRow, ...]
    n: int
    threads: int
