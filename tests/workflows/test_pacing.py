"""A run under a budget is planned anew from its pace, and what was stored is what is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import undrift
from undrift.errors import UsageError
from undrift.options.train import TrainOptions
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events
from undrift.runs.recipes import resolve
from undrift.training.checkpoint import CheckpointStore
from undrift.training.plan import TrainingPlan
from undrift.workflows import pacing, planning
from undrift.workflows import train as journey
from undrift.workflows.pacing import POINTS, fitting_steps, is_due

LENGTHS = {5: 24, 8: 12, 10: 14}
"""Planned for 40 steps: 1/8 of the run is done after 5, 1/4 after 8 and 1/2 after 10."""


def config(steps: int = 1000, budget: str = "100s") -> RunConfig:
    asked = resolve(
        "digits",
        TrainOptions(budget=budget, network="mlp"),
        undrift.data.load("digits"),
        device="cpu",
    )
    return replace(asked, training=replace(asked.training, steps=steps), replan=True)


def test_the_points_are_met_once_each_whatever_the_lengths() -> None:
    for lengths in ([3000, 200, 5000], [126, 10, 4000], [1000, 1000, 1000]):
        plan, met, step = TrainingPlan(steps=1000, batch_size=1), [], 0
        while step < plan.steps:
            step += 1
            if is_due(plan, step):
                met.append(plan.progress(step))
                plan = plan.replanned(step, max(step + 5, lengths[len(met) - 1]))
        assert len(met) == len(POINTS)
        assert all(point <= done for point, done in zip(POINTS, met, strict=True))
    short = TrainingPlan(steps=2, batch_size=1)
    assert is_due(short, 1) and not is_due(short.replanned(1, 3), 1)
    assert not is_due(TrainingPlan(steps=1, batch_size=1), 1)


@pytest.mark.parametrize(
    ("elapsed", "per_step", "least", "most"),
    [
        (12.5, 0.1, 940, 1000),  # as planned
        (25.0, 0.2, 440, 480),  # twice as slow: of 75 s less the reserve, 0.2 s each
        (12.5, 0.05, 1700, 1800),  # twice as fast from now on
        (99.9, 0.1, 234, 235),  # hardly anything left: an eighth of what was planned is made
        (500.0, 4.0, 234, 235),
        (0.1, 1e-6, 7125, 7125),  # at most eight times of it
    ],
)
def test_what_is_left_of_the_budget_is_filled(monkeypatch, elapsed, per_step, least, most) -> None:
    monkeypatch.setattr(pacing, "validation_seconds", lambda _: 0.0)
    asked = config()
    assert least <= fitting_steps(asked, asked.training, 125, elapsed, per_step) <= most


def test_a_small_change_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "validation_seconds", lambda _: 0.0)
    asked = config()
    per_step = (100 - 12.5 - planning.RESERVE * 7 / 8 * 100) / 875
    assert fitting_steps(asked, asked.training, 125, 12.5, 1.01 * per_step) == 1000
    assert fitting_steps(asked, asked.training, 125, 12.5, 1.05 * per_step) < 1000


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe and paces that give 40, 24, 12 and 14 steps."""

    def fitted(asked: RunConfig, *_: object) -> RunConfig:
        if asked.budget is None:
            return asked
        training = replace(asked.training, steps=40)
        return replace(asked, training=training, seconds_per_step=0.9, replan=True)

    monkeypatch.setattr(planning, "fit_to_machine", fitted)
    monkeypatch.setattr(pacing, "fitting_steps", lambda _, plan, step, *__: LENGTHS[step])
    monkeypatch.setattr(journey, "close_run", lambda *_, **__: None)


def trained(out: Path, **words: object) -> dict[str, Tensor]:
    settings = {} if words else {"budget": "40s", "network": "mlp", "bare": True}
    source = None if words else "digits"
    undrift.train(source, out=out, **settings, **words)
    (step,) = (CheckpointStore(out / "checkpoints").steps()[-1],)
    found = CheckpointStore(out / "checkpoints").load(step).tensors
    return {f"{group}/{name}": one for group, part in found.items() for name, one in part.items()}


def test_a_run_repeats_what_was_planned_on_its_way(tmp_path: Path, scripted, monkeypatch) -> None:
    whole = trained(tmp_path / "a")
    stored = configuration.load(tmp_path / "a" / "config.yaml")
    assert stored.training.steps == 14 and not stored.replan
    assert [(r.step, r.before) for r in stored.training.replans] == [(5, 40), (8, 24), (10, 12)]
    events = [
        e.entries for e in read_events(tmp_path / "a" / "metrics.jsonl") if e.kind == "replan"
    ]
    assert [(e["step"], e["before"], e["steps"]) for e in events] == [
        (5, 40, 24),
        (8, 24, 12),
        (10, 12, 14),
    ]
    log = (tmp_path / "a" / "log.txt").read_text()
    assert log.count(" in all now, ") == 3 and "24 steps in all now, 40 before" in log
    assert RunDirectory(tmp_path / "a").status().steps == 14

    monkeypatch.setattr(planning, "fit_to_machine", lambda *_: pytest.fail("a repeat has no probe"))
    monkeypatch.setattr(pacing, "fitting_steps", lambda *_: pytest.fail("nor other steps"))
    again = trained(tmp_path / "b", config=tmp_path / "a" / "config.yaml")
    texts = [(tmp_path / name / "config.yaml").read_text() for name in "ab"]
    assert texts[0] == texts[1]
    assert whole.keys() == again.keys()
    assert [name for name, one in whole.items() if not torch.equal(one, again[name])] == []


def test_a_run_too_short_for_all_points_is_final_too(tmp_path: Path, scripted, monkeypatch) -> None:
    def fitted(asked: RunConfig, *_: object) -> RunConfig:
        training = replace(asked.training, steps=1)
        return replace(asked, training=training, seconds_per_step=0.9, replan=True)

    monkeypatch.setattr(planning, "fit_to_machine", fitted)
    trained(tmp_path / "a")
    assert not configuration.load(tmp_path / "a" / "config.yaml").replan


@pytest.mark.slow
@pytest.mark.parametrize("point", [5, 8])
def test_a_kill_after_storing_and_before_using_changes_nothing(
    tmp_path: Path, scripted, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    class Killed(BaseException):
        pass

    original = pacing.BudgetPacing._store

    def store_and_die(self: object, plan: TrainingPlan, step: int, *rest: float) -> None:
        original(self, plan, step, *rest)
        if step == point:
            raise Killed

    monkeypatch.setattr(pacing.BudgetPacing, "_store", store_and_die)
    with pytest.raises(Killed):
        trained(tmp_path / "a")
    status = RunDirectory(tmp_path / "a").status()
    assert status.state == "interrupted"
    monkeypatch.setattr(pacing.BudgetPacing, "_store", original)
    resumed = trained(tmp_path / "a")
    assert configuration.load(tmp_path / "a" / "config.yaml").training.steps == 14
    again = trained(tmp_path / "b", config=tmp_path / "a" / "config.yaml")
    assert [name for name, one in again.items() if not torch.equal(one, resumed[name])] == []


@pytest.mark.slow
def test_an_unfinished_plan_is_repeated_as_it_stands(tmp_path: Path, scripted, monkeypatch) -> None:
    """And a lengthened run starts its plan anew."""
    trained(tmp_path / "a")
    stored = configuration.load(tmp_path / "a" / "config.yaml")
    early = replace(
        stored, replan=True, training=TrainingPlan(**vars_of(stored.training, steps=24, replans=1))
    )
    (tmp_path / "early.yaml").write_text(configuration.dump(early))
    monkeypatch.setattr(pacing, "fitting_steps", lambda *_: pytest.fail("replanned"))
    trained(tmp_path / "b", config=tmp_path / "early.yaml")
    assert configuration.load(tmp_path / "b" / "config.yaml") == replace(early, replan=False)
    with pytest.raises(UsageError, match="no more than the 24 made"):
        undrift.train(tmp_path / "b", steps=3, extend=True)
    undrift.train(tmp_path / "b", steps=26, extend=True)
    longer = configuration.load(tmp_path / "b" / "config.yaml")
    assert longer.training.steps == 26 and longer.training.replans == () and not longer.replan


def vars_of(plan: TrainingPlan, *, steps: int, replans: int) -> dict[str, object]:
    values = {name: getattr(plan, name) for name in TrainingPlan.__dataclass_fields__}
    return values | {"steps": steps, "replans": plan.replans[:replans]}
