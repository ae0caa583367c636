"""How long, in what pieces and at what rate a learner is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from undrift.training.ema import DEFAULT_TRACKS
from undrift.training.learning_rate import LearningRate


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of the training loop.

    Attributes:
        steps: optimiser updates of the whole run.
        batch_size: images of the global batch.
        micro_batch: images per forward pass on each rank; None: the rank's whole share.
        seed: names everything random.
        balance: draw every class equally often.
        learning_rate: schedule of the factor on each group's peak rate.
        clip: largest gradient norm of a group.
        ema: relative lengths of the tracked averages; the first is the one to sample with.
        precision: what networks compute in.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
        checkpoint_every: steps between checkpoints; None: about every 30 s.
        grid_every: steps between sample grids; None: spaced by time.
        validate_every: steps between validations; None: spaced by time.
        keep: checkpoints to keep.
    """

    steps: int
    batch_size: int
    micro_batch: int | None = None
    seed: int = 0
    balance: bool = False
    learning_rate: LearningRate = field(default_factory=LearningRate)
    clip: float = 1.0
    ema: tuple[float, ...] = DEFAULT_TRACKS
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    checkpoint_every: int | None = None
    grid_every: int | None = None
    validate_every: int | None = None
    keep: int = 2
