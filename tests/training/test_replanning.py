"""A run whose length changes on its way: progress never jumps or goes back, resumes stay exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from undrift.errors import UsageError
from undrift.schema import from_plain, to_plain
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learning_rate import LearningRate
from undrift.training.loop import Trainer
from undrift.training.pacing import Pace
from undrift.training.plan import Replan, TrainingPlan
from undrift.training.signals import StopSignals
from undrift.training.snapshots import COUNT, snapshot_due

from .small import ALONE, digits, learner, plan

WAYS = {
    "shorter": ((125, 400), (200, 260), (240, 250)),
    "longer": ((125, 3000), (480, 9000), (3000, 12345)),
    "both": ((125, 160), (130, 5000), (2600, 2601)),
}


def changed(way: str) -> TrainingPlan:
    found = TrainingPlan(steps=1000, batch_size=1)
    for step, steps in WAYS[way]:
        found = found.replanned(step, steps)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_progress_is_continuous_and_increases_to_one(way: str) -> None:
    found = changed(way)
    done = [found.progress(step) for step in range(found.steps + 1)]
    assert done[0] == 0 and done[-1] == 1
    assert all(before < after for before, after in zip(done, done[1:], strict=False))
    before = TrainingPlan(steps=1000, batch_size=1)
    for step, steps in WAYS[way]:  # what was done stays done, to the last bit
        after = before.replanned(step, steps)
        assert [after.progress(k) for k in range(step + 1)] == [
            before.progress(k) for k in range(step + 1)
        ]
        before = after


@pytest.mark.parametrize("way", WAYS)
def test_the_learning_rate_does_not_jump(way: str) -> None:
    found, schedule = changed(way), LearningRate(0.02, 0.5)
    middles = [found.progress(step + 0.5) for step in range(found.steps)]
    factors = [schedule.factor(middle) for middle in middles]
    steepest = max(1 / schedule.warm_up, 1 / schedule.decay)
    for k in range(len(factors) - 1):
        assert abs(factors[k + 1] - factors[k]) <= steepest * (middles[k + 1] - middles[k]) + 1e-12
    peak = factors.index(max(factors))
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_nothing_is_another_number_where_nothing_was_replanned() -> None:
    found = TrainingPlan(steps=977, batch_size=1)
    assert all(found.progress(k + 0.5) == (k + 0.5) / 977 for k in range(977))


@pytest.mark.parametrize("way", WAYS)
def test_snapshots_are_spread_over_the_progress(way: str) -> None:
    found = changed(way)
    taken = [
        step
        for step in range(1, found.steps + 1)
        if snapshot_due(found.progress(step - 1), found.progress(step))
    ]
    assert taken[-1] == found.steps and len(taken) <= COUNT
    if way == "longer":
        assert len(taken) == COUNT


@pytest.mark.parametrize("replans", [((10, 10),), ((5, 10), (5, 10)), ((20, 30),), ((0, 9),)])
def test_impossible_replans_are_refused(replans) -> None:
    with pytest.raises(UsageError, match="wanted steps that rise and lie within both lengths"):
        TrainingPlan(steps=20, batch_size=1, replans=tuple(Replan(*one) for one in replans))


def test_a_plan_survives_its_file() -> None:
    assert from_plain(TrainingPlan, to_plain(changed("both")), "plan") == changed("both")


class Script:
    """Changes the length at given steps, as the pacing of a run does."""

    def __init__(self, lengths: dict[int, int]) -> None:
        self.lengths = lengths
        self.timed: list[int] = []

    def replan(self, plan: TrainingPlan, step: int, pace: Pace) -> TrainingPlan:
        self.timed.append(pace.updates)
        return plan.replanned(step, self.lengths[step]) if step in self.lengths else plan


def trained(directory: Path, current: TrainingPlan, pacing: Script | None, until=None) -> Trainer:
    images = digits()
    store = CheckpointStore(directory)
    trainer = Trainer(
        learner(images), current, images, world=ALONE, store=store, pacing=pacing, observer=Quiet()
    )
    if (found := store.newest()) is not None:
        trainer.restore(found)
    trainer.run(StopSignals(), until=until)
    return trainer


class Quiet:
    def event(self, name: str, **entries: object) -> None: ...
    def step(self, progress: object) -> None: ...
    def grid(self, progress: object, weights: object) -> None: ...
    def evaluate(self, progress: object, weights: object) -> None: ...


@pytest.mark.parametrize("killed", [2, 3, 5])
def test_a_resume_makes_the_same_weights(tmp_path: Path, killed: int) -> None:
    """Replanned at 3 and 5; killed before, at and after these, with the changes stored or not.

    After a kill at step 2 the process finds both changes in its plan, as if it had been killed
    after they were stored and gone back to an older checkpoint.
    """
    asked = plan(steps=12, checkpoint_every=1, keep=100)
    lengths = {3: 7, 5: 9}
    whole = trained(tmp_path / "whole", asked, Script(lengths))
    assert whole.step == whole.plan.steps == 9 and len(whole.plan.replans) == 2
    trained(tmp_path / "cut", asked, Script(lengths), until=killed)
    stored = whole.plan
    again = trained(tmp_path / "cut", stored, None)
    ours, theirs = whole.learner.networks.state_dict(), again.learner.networks.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    repeated = trained(tmp_path / "repeated", stored, None)
    theirs = repeated.ema.state()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in whole.ema.state().items())
    other = trained(tmp_path / "other", plan(steps=9), None)  # as long, but never replanned
    theirs = other.learner.networks.state_dict()
    assert not all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_the_pace_counts_no_first_update_and_no_side_task(monkeypatch) -> None:
    now = iter([10.0, 14.0, 14.0, 20.0])
    monkeypatch.setattr("undrift.training.pacing.time.perf_counter", lambda: next(now))
    pace = Pace()
    pace.exclude(100.0)  # before the first update
    assert pace.seconds() is None
    pace.add()
    pace.add()
    pace.exclude(1.0)
    assert pace.seconds() == 3.0
    pace.restart()
    assert pace.seconds() is None
    pace.add()
    assert pace.seconds() == 6.0
