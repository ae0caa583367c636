"""What it costs to learn from an image: arithmetic of training, per real image seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from undrift.data import ImageSet
from undrift.runs.configuration import RunConfig
from undrift.runs.recipes import build_learner
from undrift.training.distributed import World
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

LONG = 1_000_000
"""Steps that the counted run is told to have, so that its penalties weigh what they do early."""


def training_flops(config: RunConfig, images: ImageSet, device: str) -> float:
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
    """
    plan = replace(config.training, steps=LONG)
    with torch.random.fork_rng():
        learner = build_learner(config, device)
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
