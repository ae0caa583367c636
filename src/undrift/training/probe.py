"""How fast a machine trains: measured once, on a throw-away trainer, and stored."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

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
    chunk, paces = 1, list[float]()
    began = time.perf_counter()
    while len(paces) < LEAST or time.perf_counter() - began < seconds:
        before = time.perf_counter()
        trainer.run(stop, until=trainer.step + chunk)
        paces.append((time.perf_counter() - before) / chunk)
        # Longer chunks hide the start of each run; they grow until one takes half a second.
        chunk = max(chunk, min(2 * chunk, round(0.5 / paces[-1])))
    return statistics.median(paces)
