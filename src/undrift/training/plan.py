r"""How long, in what batches and at what rate a learner is trained.

The length of a run may change during training: under a time budget it is planned anew from the
measured pace. What depends on the progress p in [0, 1] (learning rate, weight decay, penalties,
snapshots) must then neither jump nor go back. With N_0 the updates planned at first and N_i those
planned from update s_i on,

    p(s) = p_i + (1 - p_i) (s - s_i) / (N_i - s_i)    for s_i <= s <= s_(i+1),              (1)
    p_i = p(s_i), s_0 = p_0 = 0:

continuous, increasing, and 1 at the last update. It is s / N_0 where nothing was changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from undrift.errors import UsageError
from undrift.limits import MOST_BATCH, MOST_SAMPLES, MOST_TRAINING_STEPS
from undrift.schema import check_ranges
from undrift.training.ema import DEFAULT_TRACKS
from undrift.training.learning_rate import LearningRate


@dataclass(frozen=True)
class Replan:
    """One change of a run's length.

    Attributes:
        step: updates made when it was changed.
        before: updates of the whole run as it was planned until then.
    """

    step: int
    before: int


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of the training loop.

    Attributes:
        steps: optimiser updates of the whole run.
        batch_size: images of the global batch.
        micro_batch: images per forward pass on each rank; None: the rank's whole share.
        seed: random seed.
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
        replans: earlier lengths of the run, in the order of their steps.
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
    replans: tuple[Replan, ...] = ()

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
        made, lengths = 0, [*(replan.before for replan in self.replans[1:]), self.steps]
        for replan, after in zip(self.replans, lengths, strict=False):
            if not made < replan.step < min(replan.before, after):
                raise UsageError(
                    f"replans: step {replan.step} of {replan.before}, then of {after}: "
                    "wanted steps that rise and lie within both lengths"
                )
            made = replan.step

    def progress(self, updates: float) -> float:
        """Share of the run that is done after ``updates``, eq. (1); k + 0.5 is inside update k."""
        if not self.replans:
            return updates / self.steps
        start, done, length = next(k for k in reversed(self._knots) if k[0] <= updates)
        share = (updates - start) / (length - start)
        return 1.0 if share == 1 else done + (1 - done) * share

    def replanned(self, step: int, steps: int) -> TrainingPlan:
        """This plan with ``steps`` in all, from update ``step`` on."""
        return replace(self, steps=steps, replans=(*self.replans, Replan(step, self.steps)))

    @cached_property
    def _knots(self) -> tuple[tuple[int, float, int], ...]:
        """(s_i, p_i, N_i) of eq. (1)."""
        starts = [0, *(replan.step for replan in self.replans)]
        lengths = [*(replan.before for replan in self.replans), self.steps]
        done, knots = 0.0, []
        for start, length, end in zip(starts, lengths, [*starts[1:], self.steps], strict=True):
            knots.append((start, done, length))
            done += (1 - done) * ((end - start) / (length - start))
        return tuple(knots)
