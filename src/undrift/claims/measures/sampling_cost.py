"""What quality costs to draw: distance and coverage by evaluations, time per image, memory.

Times are medians of whole draws, taken when nothing else runs. Memory is by how much a process
grows while it draws a batch for the first time; on a GPU, the most that torch held.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from undrift.comparison.inference import BATCH, speed_of
from undrift.evaluation.opening import open_reference
from undrift.evaluation.reference import Comparisons
from undrift.evaluation.target import open_target
from undrift.metrics import Images, measure
from undrift.options import FeatureOptions
from undrift.runs.loading import load_pipeline

Record = dict[str, Any]

METRICS = ("fd", "coverage")


def by_steps(run: Path, steps: Sequence[int], n: int, seed: int, device: str) -> Record:
    """Distance and coverage of a run of diffusion at each number of steps.

    Returns:
        ``points``: ``steps``, ``nfe``, and each metric's ``value``, ``low``, ``high``, ``floor``.
    """
    target = open_target(run)
    reference = open_reference(target, None, None).in_space(n, seed, FeatureOptions(), device)
    compared = Comparisons(reference, target)
    pipeline = load_pipeline(run).to(device)
    points = []
    for count in steps:
        samples = pipeline(n, seed=seed, steps=count)
        found = measure(compared.of(Images(samples.images, samples.labels)), METRICS).metrics
        points.append(
            {
                "steps": count,
                "nfe": samples.nfe,
                **{
                    name: {
                        end: getattr(found[name], end) for end in ("value", "low", "high", "floor")
                    }
                    for name in METRICS
                    if name in found
                },
            }
        )
    return {"points": points, "n": n}


def times(run: Path, steps: Sequence[int | None], device: str, threads: int) -> Record:
    """Milliseconds and memory of drawing with a run at each number of steps.

    Returns:
        ``points``: ``steps`` (None: one pass of a generator), ``single_ms``, ``batch_ms``, ``nfe``
        and ``flops``; ``megabytes`` of a batch.
    """
    megabytes = _growth(run, device)
    return {
        "points": [
            {"steps": count, **speed_of(run, device, threads, steps=count)} for count in steps
        ],
        "megabytes": megabytes,
        "batch": BATCH,
    }


def _growth(run: Path, device: str) -> float:
    pipeline = load_pipeline(run).to(device)
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
