"""What it costs to draw an image: network forwards, arithmetic, and time alone and in batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from undrift.networks import count_parameters
from undrift.pipelines import Pipeline
from undrift.runs.configuration import RunConfig
from undrift.runs.loading import load_pipeline
from undrift.runs.recipes import build_learner

SINGLE, BATCH = 1, 64
_SINGLES, _BATCHES = 9, 3
"""Timed draws of each, after one that is thrown away; their median is what is told."""


def parameters_of(config: RunConfig) -> dict[str, int]:
    """Learnt numbers of what draws images, and of everything that is trained."""
    learner = build_learner(config)
    return {
        "generator": sum(count_parameters(module) for module in learner.averaged.values()),
        "all": count_parameters(learner.networks),
    }


def speed_of(run: Path, device: str, threads: int, steps: int | None = None) -> dict[str, Any]:
    """Draw with a finished run and take the time; nothing else should be running meanwhile.

    Args:
        run: folder.
        device: where to draw.
        threads: CPU threads.
        steps: of the sampler; None is the model's default.

    Returns:
        ``nfe``, network forwards per image; ``flops`` per image (matrix products, convolutions and
        attention, two per multiply-add), ``single_ms``, one image alone, ``batch_ms``, per image in
        batches of 64, medians both.

    Raises:
        ModelFileError: a run that cannot be loaded.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pipeline = load_pipeline(run).to(device)
        with FlopCounterMode(display=False) as counter:
            drawn = pipeline(SINGLE, batch_size=SINGLE, steps=steps)
        single = _median(lambda: _seconds(pipeline, SINGLE, steps), _SINGLES) / SINGLE
        batch = _median(lambda: _seconds(pipeline, BATCH, steps), _BATCHES) / BATCH
    finally:
        torch.set_num_threads(before)
    return {
        "nfe": drawn.nfe,
        "flops": counter.get_total_flops(),
        "single_ms": 1000 * single,
        "batch_ms": 1000 * batch,
        "batch": BATCH,
        "threads": threads,
    }


def _seconds(pipeline: Pipeline, count: int, steps: int | None) -> float:
    return pipeline(count, batch_size=count, steps=steps).seconds


def _median(draw: Callable[[], float], times: int) -> float:
    draw()
    return median(draw() for _ in range(times))
