"""A student at each of its numbers of steps, beside its teacher: quality and time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from undrift.families.family import Draw
from undrift.metrics.results import Measurements
from undrift.pipelines import Pipeline, Samples
from undrift.results.steps import StepsResult, StepsRow, StepsValue

METRICS = ("fd", "kid", "recall", "coverage", "label_accuracy", "memorization")
"""Those of the first metrics that depend on the number of steps."""

BATCH = 64
REPEATS = 3
"""Timings of which the median is taken, after one that is not counted."""


def measure_steps(
    student: Pipeline,
    teacher: Pipeline | None,
    count: int,
    draw: Draw,
    measure: Callable[[Samples], Measurements],
) -> StepsResult:
    """Measure a student at each of ``few_steps``, and its teacher as it draws by default.

    Args:
        student: has ``few_steps``.
        teacher: what it was distilled from; None: it was trained from scratch.
        count: samples of each.
        draw: draws samples of a pipeline, under the conditions that it is measured with.
        measure: measures them.
    """
    requested = [] if teacher is None else [("teacher", teacher, teacher.spec.steps)]
    requested += [("student", student, steps) for steps in sorted(student.few_steps, reverse=True)]
    rows = []
    for model, pipeline, steps in requested:
        samples = draw(pipeline, count, steps=steps)
        found = measure(samples).metrics
        metrics = {
            name: StepsValue(found[name].value, found[name].low, found[name].high)
            for name in METRICS
            if name in found
        }
        single, batch = (_milliseconds(draw, pipeline, steps, n) for n in (1, BATCH))
        rows.append(StepsRow(model, steps, samples.nfe, single, batch, metrics))
    return StepsResult(tuple(rows), count, torch.get_num_threads())


def _milliseconds(draw: Draw, pipeline: Pipeline, steps: int, count: int) -> float:
    """Median time of an image where ``count`` are drawn at once."""
    times = []
    for _ in range(1 + REPEATS):
        before = time.perf_counter()
        draw(pipeline, count, batch_size=count, steps=steps)
        times.append(time.perf_counter() - before)
    return 1000 * statistics.median(times[1:]) / count
