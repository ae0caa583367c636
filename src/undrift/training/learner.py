"""What the training loop knows of the thing it trains.

A diffusion model, a GAN and a distilled student differ in their losses and in how often which
parameters are updated; data, optimisers, averages, checkpoints, guards and logs are the same for
all of them. That difference is a ``Learner``; the loop owns the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from undrift.conditioning import Condition
from undrift.data.loader import Batch
from undrift.errors import UsageError
from undrift.json_types import JsonValue
from undrift.pipelines import Pipeline
from undrift.pipelines.diffusion.one_step import OneStep
from undrift.randomness import Draws
from undrift.training.optimizers import OptimizerConfig


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are updated together.

    Attributes:
        name: unique within the learner; checkpoints use it.
        module: holds the parameters.
        optimizer: how they are updated; its learning rate is a peak that the schedule scales.
    """

    name: str
    module: nn.Module
    optimizer: OptimizerConfig


@dataclass(frozen=True)
class Phase:
    """One kind of update within a step.

    Attributes:
        name: passed to ``Learner.loss``.
        group: name of the parameter group that it updates.
        every: the phase runs on steps with ``step % every == offset``.
        offset: see ``every``.
    """

    name: str
    group: str
    every: int = 1
    offset: int = 0

    def due(self, step: int) -> bool:
        """Whether the phase runs on update ``step`` (the first is 0)."""
        return step % self.every == self.offset


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: optimiser updates made.
        steps: optimiser updates of the whole run.
        images: real images seen.
        fraction: share of the run that is done, in [0, 1]; ``step / steps`` unless ``steps`` was
            changed during the run.
    """

    step: int
    steps: int
    images: int
    fraction: float


@dataclass(frozen=True)
class Loss:
    """Losses of the rows of a batch, not averaged: the loop divides by the global batch.

    Attributes:
        per_sample: float32 of shape (B,), what is minimised.
        statistics: further detached tensors of shape (B,) for the log.
    """

    per_sample: Tensor
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


Made = TypeVar("Made", bound=Pipeline)


def pipeline_as(pipeline: Pipeline, kind: type[Made]) -> Made:
    """``pipeline`` as the class that a learner makes.

    Raises:
        UsageError: it is of another family.
    """
    if not isinstance(pipeline, kind):
        raise UsageError(f"{pipeline!r}: wanted a {kind.__name__}, which this learner makes")
    return pipeline


class Learner(Protocol):
    """Networks, the losses that train them and the pipeline that they become."""

    networks: nn.ModuleDict
    """Everything with parameters; saved in checkpoints."""

    buffers: nn.Module
    """State that is not trained by gradients; saved in checkpoints."""

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The networks whose moving average is what users sample from."""
        ...

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """Every parameter group."""
        ...

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The updates of one step, in order; the first, on every step, is the main one."""
        ...

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch``; everything random comes from ``draws``."""
        ...

    def after_step(self, phase: str, statistics: Mapping[str, Tensor]) -> None:
        """Update ``buffers`` from the statistics of the whole global batch."""
        ...

    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """Entries of a ``validation`` event, measured on held-out images; perhaps none.

        Args:
            pipeline: made by this learner.
            images: uint8 (N, H, W, C).
            condition: of the N images, on any device; kinds that the model does not take are
                ignored.
        """
        ...

    def one_step(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> OneStep | None:
        """Held-out images with a little noise, denoised in one step; arguments as of `validate`.

        None for a model without noise levels, and for toy 2-D data.
        """
        ...

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> Pipeline:
        """A pipeline of its own copy of the networks, with ``weights`` if given."""
        ...
