"""How fast a machine trains: measured once, on a throw-away trainer, and stored."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from undrift.data.loader import BatchSource
from undrift.training.distributed import World
from undrift.training.learner import Learner
from undrift.training.loop import Trainer
from undrift.training.memory import find_micro_batch
from undrift.training.plan import TrainingPlan
from undrift.training.signals import StopSignals

WARM_UP = 3
LEAST = 2
SHARE = 0.05
MOST_SECONDS = 20.0


def fit_micro_batch(
    make_learner: Callable[[], Learner], plan: TrainingPlan, images: BatchSource, world: World
) -> int | None:
    """The micro-batch that fits into memory; None where the whole share of a rank does."""
    if plan.micro_batch is not None:
        return plan.micro_batch
    start, stop = world.rows(plan.batch_size)

    def attempt(size: int) -> None:
        trial = replace(plan, micro_batch=size)
        trainer = Trainer(make_learner(), trial, images, world=world)
        every_phase = 1 + max(phase.offset for phase in trainer.learner.phases)
        trainer.run(StopSignals(), until=every_phase)

    size = world.smallest(find_micro_batch(attempt, stop - start))
    return None if size == stop - start else size


def measure(
    make_learner: Callable[[], Learner],
    plan: TrainingPlan,
    images: BatchSource,
    world: World,
    seconds: float,
    stop: StopSignals,
) -> float:
    """Median seconds per update, spending about ``seconds`` on it.

    Slow updates are few: one to warm up and two to time, however long they take. Where phases take
    turns it is the mean over whole rounds of them.

    Args:
        make_learner: makes a fresh learner; the probe's is thrown away.
        plan: with the micro-batch that will be used.
        images: makes the batches.
        world: the ranks.
        seconds: how long to measure.
        stop: ends the measurement early when a signal has come.
    """
    trainer = Trainer(make_learner(), plan, images, world=world)
    turns = math.lcm(*(phase.every for phase in trainer.learner.phases))
    times: list[float] = []
    began = before = time.perf_counter()
    for step in trainer.updates(StopSignals()):
        now = time.perf_counter()
        if step > min(WARM_UP, 1 + int(WARM_UP * seconds / 4 / (now - began))):
            times.append(now - before)
        before = now
        over = now - began >= seconds and len(times) >= max(LEAST, turns)
        if world.any([over or stop.received is not None])[0]:
            break
    if turns > 1 and len(times) >= turns:
        return statistics.fmean(times[-(len(times) // turns * turns) :])
    return statistics.median(times or [before - began])
