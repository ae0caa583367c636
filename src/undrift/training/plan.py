"""How long, in what pieces and at what rate a learner is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from undrift.errors import UsageError
from undrift.limits import MOST_BATCH, MOST_SAMPLES, MOST_TRAINING_STEPS
from undrift.schema import check_ranges
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
        evaluate_every: steps between evaluations of samples; None: none are made.
        evaluate_samples: samples of each.
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
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    keep: int = 2

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "training",
            steps=(1, MOST_TRAINING_STEPS),
            batch_size=(1, MOST_BATCH),
            micro_batch=(1, MOST_BATCH),
            threads=(1, 4096),
            ema=(0, 1),
            checkpoint_every=(1, MOST_TRAINING_STEPS),
            grid_every=(1, MOST_TRAINING_STEPS),
            validate_every=(1, MOST_TRAINING_STEPS),
            evaluate_every=(1, MOST_TRAINING_STEPS),
            evaluate_samples=(1, MOST_SAMPLES),
            keep=(1, MOST_TRAINING_STEPS),
        )
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed {self.seed}: wanted a whole number from 0 to 2^63 - 1")
        if not 0 < self.clip < math.inf:
            raise UsageError(f"clip {self.clip}: wanted a positive finite number")
