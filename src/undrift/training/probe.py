"""How fast a machine trains: measured once, on a throw-away trainer, and stored."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from undrift.data import ImageSet
from undrift.training.distributed import World
from undrift.training.learner import Learner
from undrift.training.loop import Trainer
from undrift.training.memory import find_micro_batch
from undrift.training.plan import TrainingPlan
from undrift.training.signals import StopSignals

WARM_UP = 3
LEAST = 5
SHARE = 0.05
MOST_SECONDS = 20.0


@dataclass(frozen=True)
class Throughput:
    """What the probe found.

    Attributes:
        seconds_per_step: median time of an update of the global batch.
        micro_batch: images per forward pass that fit into memory, or None for all of them.
    """

    seconds_per_step: float
    micro_batch: int | None


def fit_micro_batch(
    make_learner: Callable[[], Learner], plan: TrainingPlan, images: ImageSet, world: World
) -> int | None:
    """The micro-batch that fits into memory; None where the whole share of a rank does."""
    if plan.micro_batch is not None:
        return plan.micro_batch
    start, stop = world.rows(plan.batch_size)

    def attempt(size: int) -> None:
        trial = replace(plan, micro_batch=size)
        Trainer(make_learner(), trial, images, world=world).run(StopSignals(), until=1)

    size = world.smallest(find_micro_batch(attempt, stop - start))
    return None if size == stop - start else size


def measure(
    make_learner: Callable[[], Learner],
    plan: TrainingPlan,
    images: ImageSet,
    world: World,
    seconds: float,
) -> float:
    """Median seconds per update, spending about ``seconds`` on it.

    Args:
        make_learner: makes a fresh learner; the probe's is thrown away.
        plan: with the micro-batch that will be used.
        images: the training split.
        world: the ranks.
        seconds: how long to measure after the warm-up.
    """
    trainer = Trainer(make_learner(), plan, images, world=world)
    stop = StopSignals()
    trainer.run(stop, until=WARM_UP)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - began < seconds:
        before = time.perf_counter()
        trainer.run(stop, until=trainer.step + 1)
        times.append(time.perf_counter() - before)
    return statistics.median(times)
