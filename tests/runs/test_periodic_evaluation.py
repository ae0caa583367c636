"""Looks at samples while a run trains: what is told when they collapse, break or come back."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.report.fake_run import history_of

from undrift.data import ImageSet
from undrift.errors import DivergedError, UsageError
from undrift.metrics import Measurements
from undrift.options.train import TrainOptions
from undrift.pipelines import Samples
from undrift.report.health import health_figure, health_note
from undrift.report.history import History
from undrift.runs import periodic_evaluation
from undrift.runs.directory import RunDirectory
from undrift.runs.events import EventLog, read_events
from undrift.runs.images import load_images
from undrift.runs.log import RunLog
from undrift.runs.periodic_evaluation import PeriodicEvaluation
from undrift.runs.recorder import Recorder
from undrift.training.learner import Progress

STEPS = 16


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare in pixels: nothing is to be fitted first."""
    monkeypatch.setattr(periodic_evaluation, "quick_space", lambda _: "pixels")


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images("digits", TrainOptions(), lambda *_: None)


class Drawing:
    """A pipeline that returns so many different digits, one white image, or breaks at 0."""

    def __init__(self, images: np.ndarray, kinds: int) -> None:
        self.images, self.kinds = images, kinds

    def __call__(self, n: int, *, seed: int) -> Samples:
        if self.kinds == 0:
            raise DivergedError("decode: 3 of 9 values are not finite")
        if self.kinds == 1:
            return Samples(np.full((n, 8, 8, 1), 255, np.uint8), None, (), 1.0, 0.0, {})
        chosen = np.random.default_rng(seed).integers(0, self.kinds, n)
        return Samples(self.images[chosen], None, (), 1.0, 0.0, {})

    def save_pretrained(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)


def watched(path: Path, digits: ImageSet, kinds: list[int]) -> tuple[RunDirectory, str]:
    """Evaluate a run that makes so many kinds of images at each evaluation."""
    run, shown = RunDirectory(path), io.StringIO()
    run.make()
    train, validation = digits.split("train"), digits.split("validation")
    log = EventLog(run.events)
    recording = Recorder(
        run,
        log,
        None,  # type: ignore[arg-type]
        RunLog(Console(file=shown, width=200), run.path / "log.txt"),
        PeriodicEvaluation(run, train, validation, "cpu"),
    )
    for k, count in enumerate(kinds, start=1):
        pipeline = Drawing(train.images, count)
        recording.evaluate(Progress(k, STEPS, 64 * k, k / STEPS), pipeline)  # type: ignore[arg-type]
    log.close()
    return run, shown.getvalue()


def states(run: RunDirectory) -> list[str]:
    return [event.text("state") for event in read_events(run.events)]


def test_a_planted_collapse_is_told_and_stops_nothing(tmp_path: Path, digits: ImageSet) -> None:
    run, shown = watched(tmp_path / "run", digits, [1000, 1000, 1, 1, 1000])
    assert states(run) == ["healthy", "healthy", "suspect", "collapsed", "healthy"]
    lines = shown.splitlines()
    assert lines[0].startswith("step 3: suspect") and lines[1].startswith("step 4: collapsed")
    assert len(lines) == 2 and "coverage" in lines[1]
    assert "collapsed" in (run.path / "log.txt").read_text()
    history = History.of(read_events(run.events))
    assert "The run had failed at 1 of 5 evaluations" in health_note(history)
    assert "It recovered at 320 images" in health_note(history)
    assert health_figure(history) is not None


def test_samples_that_are_not_finite_are_told(tmp_path: Path, digits: ImageSet) -> None:
    run, shown = watched(tmp_path / "run", digits, [1000, 0])
    assert states(run) == ["healthy", "not_finite"]
    assert "step 2: not finite" in shown
    event = read_events(run.events)[-1]
    assert "fd" in event and event.number("fd") is None and "3 of 9" in event.text("reason")
    history = History.of(read_events(run.events))
    assert len(history.measured) == 1 and len(history.evaluations) == 2
    assert "not finite" in health_note(history) and health_figure(history) is not None


def test_a_distance_that_cannot_be_had_is_no_failure(
    tmp_path: Path, digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = periodic_evaluation.measure

    def without(*arguments: Any) -> Measurements:
        found = whole(*arguments)
        metrics = {name: one for name, one in found.metrics.items() if name != "fd"}
        return replace(found, metrics=metrics, missing={"fd": "too few images"})

    monkeypatch.setattr(periodic_evaluation, "measure", without)
    run, shown = watched(tmp_path / "run", digits, [1000])
    (event,) = read_events(run.events)
    assert event.text("reason") == "too few images" and "state" not in event and shown == ""
    assert health_note(History.of([event])) == ""


def test_too_few_samples_for_a_distance_are_refused_at_once(
    tmp_path: Path, digits: ImageSet
) -> None:
    train, held_out = digits.split("train"), digits.split("validation")
    with pytest.raises(UsageError, match="^evaluate_samples 3: .* at least 4"):
        PeriodicEvaluation(RunDirectory(tmp_path), train, held_out, "cpu", 3)


def test_healthy_evaluations_are_silent(tmp_path: Path, digits: ImageSet) -> None:
    run, shown = watched(tmp_path / "run", digits, [400, 1000, 900])
    assert states(run) == ["healthy"] * 3 and shown == ""
    note = health_note(History.of(read_events(run.events)))
    assert note.startswith("No divergence or collapse at 3 evaluations")


def test_a_run_that_goes_on_remembers_and_an_evaluation_made_again_counts_once(
    tmp_path: Path, digits: ImageSet
) -> None:
    """The second process makes steps 2 and 3 again: of what came after step 1 nothing counts."""
    watched(tmp_path / "run", digits, [1000, 1, 1])
    run, _ = watched(tmp_path / "run", digits, [1000, 1])
    assert states(run) == ["healthy", "suspect", "collapsed", "healthy", "suspect"]


def test_older_runs_and_runs_without_evaluations_are_no_failures() -> None:
    assert health_note(history_of([])) == "" and health_figure(history_of([])) is None
    older = [{"event": "evaluation", "step": 1, "images": 64, "kid": 0.1}]
    assert health_note(history_of(older)) == "" and len(history_of(older).measured) == 1
    stopped = [{"event": "verdict", "state": "not_finite", "verdict": "training diverged: 10"}]
    assert "was stopped: training diverged: 10" in health_note(history_of(stopped))
