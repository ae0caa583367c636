"""What a model costs: parameters, arithmetic of training, and sampling alone and in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from undrift.data import ImageSet
from undrift.families.student.family import student_beside
from undrift.networks import count_parameters
from undrift.pipelines import Pipeline
from undrift.results.comparison import ParameterCounts, SamplingSpeed
from undrift.runs.configuration import RunConfig
from undrift.runs.loading import load_pipeline
from undrift.runs.recipes import build_learner
from undrift.training.distributed import World
from undrift.training.learner import Learner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

SINGLE, BATCH = 1, 64
_SINGLES, _BATCHES = 9, 3
"""Timed samplings of each, after one that is thrown away; the median counts."""

LONG = 1_000_000
"""Steps of the counted run, so that its penalties have the weights of early training."""


def parameters_of(config: RunConfig, teacher: RunConfig | None = None) -> ParameterCounts:
    """Trainable parameters of the denoiser or generator, and of everything that is trained.

    Args:
        config: of the run.
        teacher: that of the run that a student is distilled from.
    """
    learner = _learner(config, teacher)
    return ParameterCounts(
        generator=sum(count_parameters(module) for module in learner.averaged.values()),
        all=count_parameters(learner.networks),
    )


def _learner(config: RunConfig, teacher: RunConfig | None, device: str = "cpu") -> Learner:
    """The learner of a run; a student's teacher has initial weights."""
    if teacher is None:
        return build_learner(config, device)
    base = build_learner(teacher).pipeline()
    return student_beside(base, config.model, config.training.seed, device)


def speed_of(run: Path, device: str, threads: int, steps: int | None = None) -> SamplingSpeed:
    """Time the sampling of a finished run; nothing else should be running meanwhile.

    Args:
        run: folder.
        device: where to sample.
        threads: CPU threads.
        steps: of the sampler; None is the model's default.

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
    return SamplingSpeed(
        nfe=drawn.nfe,
        flops=counter.get_total_flops(),
        single_ms=1000 * single,
        batch_ms=1000 * batch,
        batch=BATCH,
        threads=threads,
    )


def _seconds(pipeline: Pipeline, count: int, steps: int | None) -> float:
    return pipeline(count, batch_size=count, steps=steps).seconds


def _median(sample: Callable[[], float], times: int) -> float:
    sample()
    return median(sample() for _ in range(times))


def training_flops(
    config: RunConfig, images: ImageSet, device: str, teacher: RunConfig | None = None
) -> float:
    """Floating-point operations of training per real image of the main phase.

    A throw-away model makes one round of its phases: one step, or as many as it takes until every
    phase was due as often as it is on average. Counted are matrix products, convolutions and
    attention, two per multiply-add: forward, backward, the second backward of gradient penalties,
    and the optimiser where it multiplies matrices (Muon); not counted is what goes value by value,
    such as norms, activations and Adam.

    Args:
        config: of the run.
        images: the training split.
        device: where to compute them.
        teacher: that of a run that a student is distilled from, whose own training is left out.
    """
    plan = replace(config.training, steps=LONG)
    with torch.random.fork_rng():
        learner = _learner(config, teacher, device)
        trainer = Trainer(learner, plan, images, world=World(0, 1, 0, torch.device(device)))
        turns = math.lcm(*(phase.every for phase in learner.phases))
        counter = FlopCounterMode(display=False, custom_mapping=_BACKWARD)
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        with counter:
            trainer.run(StopSignals(), until=turns)
    return counter.get_total_flops() / (turns * plan.batch_size)


def _convolution_gradients(
    back: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    wanted: Sequence[bool],
    **_: object,
) -> int:
    """Operations of the gradients of a convolution with respect to its input and its weights.

    Each takes as many as the convolution. torch counts those of the weights as if all channels met,
    which of grouped convolutions is ``groups`` times too many.
    """
    places = math.prod(x if transposed else back)
    return 2 * places * math.prod(weight[1:]) * sum(wanted[:2])


_BACKWARD = {torch.ops.aten.convolution_backward: _convolution_gradients}


class _NoModules:
    """Counts for no module in particular: torch's tracker refuses gradients of gradients."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        """See `torch.utils.module_tracker.ModuleTracker`."""

    def __exit__(self, *_: object) -> None:
        """See `torch.utils.module_tracker.ModuleTracker`."""
