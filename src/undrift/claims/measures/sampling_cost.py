"""Quality against the cost of sampling: metrics by number of steps, time per image, memory.

Times are medians of whole samplings, taken when nothing else runs. Memory is the growth of a
process while it samples a batch for the first time; on a GPU, the most that torch held.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from undrift.comparison.cost import BATCH, speed_of
from undrift.evaluation.opening import open_reference
from undrift.evaluation.reference import Comparisons
from undrift.evaluation.target import open_target
from undrift.metrics import Images, MetricResult, measure
from undrift.options import FeatureOptions
from undrift.results.claims import (
    MetricAtSteps,
    SamplingTimes,
    StepsCurve,
    StepsPoint,
    TimedSteps,
    facts_of,
)
from undrift.results.comparison import RunResult
from undrift.runs.loading import load_pipeline


def by_steps(
    run: RunResult, path: Path, steps: Sequence[int], n: int, seed: int, device: str
) -> StepsCurve:
    """Distance and coverage of a diffusion model at each number of steps."""
    target = open_target(path)
    reference = open_reference(target, None, None).in_space(n, seed, FeatureOptions(), device)
    compared = Comparisons(reference, target)
    pipeline = load_pipeline(path).to(device)
    points = []
    for count in steps:
        samples = pipeline(n, seed=seed, steps=count)
        found = measure(compared.of(Images(samples.images, samples.labels)), ("fd", "coverage"))
        coverage = found.metrics.get("coverage")
        points.append(
            StepsPoint(
                steps=count,
                nfe=samples.nfe,
                fd=_at(found.metrics["fd"]),
                coverage=None if coverage is None else _at(coverage),
            )
        )
    return StepsCurve(**facts_of(run), points=tuple(points), n=n)


def _at(found: MetricResult) -> MetricAtSteps:
    return MetricAtSteps(found.value, found.low, found.high, found.floor)


def times(
    run: RunResult, path: Path, steps: Sequence[int | None], device: str, threads: int
) -> SamplingTimes:
    """Milliseconds and memory of sampling with a run at each number of steps.

    Args:
        run: the run.
        path: its folder.
        steps: numbers of steps; None is one pass of a generator.
        device: where to compute.
        threads: CPU threads.
    """
    megabytes = _growth(path, device)  # before anything else is sampled
    points = tuple(
        TimedSteps(**vars(speed_of(path, device, threads, steps=count)), steps=count)
        for count in steps
    )
    return SamplingTimes(**facts_of(run), points=points, megabytes=megabytes, batch=BATCH)


def _growth(path: Path, device: str) -> float:
    pipeline = load_pipeline(path).to(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        pipeline(BATCH, batch_size=BATCH)
        return torch.cuda.max_memory_allocated() / 2**20
    before = _peak()
    pipeline(BATCH, batch_size=BATCH)
    return _peak() - before


def _peak() -> float:
    """Largest size of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
