"""What an evaluation will cost is told before it is paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.evaluation import EvaluationProgress, evaluate_target
from undrift.options import EvaluateOptions
from undrift.results import EvaluationResult


class Recorded(EvaluationProgress):
    """Records the calls, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def plan(self, lines: list[str]) -> None:
        self.events.append(("plan", *lines))

    def fitting(self, done: int, total: int, seconds: float) -> None:
        assert 0 < done < total and seconds > 0
        if not any(event[0] == "fitting" for event in self.events):
            self.events.append(("fitting", total))

    def features(self, count: int, seconds: float) -> None:
        self.events.append(("features", count, seconds > 0))

    def metric(self, name: str, done: int, total: int) -> None:
        self.events.append(("metric", name, done, total))


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    draws = np.random.default_rng(0)
    for name, count in (("a", 40), ("b", 40), ("few", 30), ("real", 60)):
        images = draws.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images)
    return tmp_path


def evaluated(
    sets: Path,
    progress: EvaluationProgress | None = None,
    *,
    reference: str = "real.npz",
    against: str | None = None,
    **changed: Any,
) -> EvaluationResult:
    """The samples of ``a.npz``."""
    options = {"n": 50, "features": "random", "metrics": ("fd", "kid")} | changed
    return evaluate_target(
        sets / "a.npz",
        EvaluateOptions(**options),
        reference=sets / reference,
        against=None if against is None else sets / against,
        progress=progress,
    )


def test_counts_and_the_cost_of_features_come_before_all_else(sets: Path):
    told = Recorded()
    file = "real.safetensors"
    evaluated(sets, told, against="b.npz", save_reference=sets / file)
    (plan, features, *metrics) = told.events
    assert plan[0] == "plan" and "40 of 40 samples" in plan[1] and "50 of 60" in plan[3]
    assert features == ("features", 50 + 2 * (40 + 40), True)
    assert [event[:2] for event in metrics] == [("metric", "fd"), ("metric", "kid")] * 2
    again = Recorded()
    evaluated(sets, again, reference=file, features=None)
    assert again.events[1] == ("features", 50 + 2 * 40, True)


def test_features_that_have_to_be_fitted_are_told_while_they_are(sets: Path):
    images = np.load(sets / "real.npz")["images"]
    np.savez(sets / "labelled.npz", images=images, labels=np.arange(60) % 3)
    words = {"reference": "labelled.npz", "features": "domain", "metrics": ("fd",)}
    told, again = Recorded(), Recorded()
    evaluated(sets, told, **words)
    assert [event[0] for event in told.events] == ["plan", "fitting", "features", "metric"]
    assert told.events[1] == ("fitting", 40 * 60)  # each image 40 times
    evaluated(sets, again, **words)
    assert [event[0] for event in again.events] == ["plan", "features", "metric"]  # it is kept


def test_a_stored_reference_keeps_the_floor_of_its_own_size(sets: Path):
    file = "real.safetensors"
    words = {"n": 30, "metrics": ("fd", "kid", "coverage")}
    whole = evaluated(sets, save_reference=sets / file, **words).metrics
    stored = evaluated(sets, reference=file, features=None, **words).metrics
    for name, record in whole.items():
        assert "as many other real images in place of the samples" in record.protocol
        assert stored[name].floor == pytest.approx(record.floor, rel=1e-9)
        assert stored[name].protocol == record.protocol
    few = evaluated(sets, reference=file, features=None, n=20, metrics=("fd",))
    assert few.metrics["fd"].n == 20 and few.metrics["fd"].floor is not None
    more = evaluated(sets, reference=file, features=None, n=40, metrics=("fd",))
    assert more.metrics["fd"].floor is None  # 30 others were stored
    assert "30 real images beside" in more.metrics["fd"].floor_missing


def test_samples_and_reference_can_differ_in_number(sets: Path):
    found = evaluated(sets, n=20, reference_n=55, metrics=("fd", "coverage"))
    assert found.samples.count == 20 and found.reference.count == 55
    assert found.metrics["fd"].n_reference == 55
    assert found.metrics["coverage"].n_reference == 20  # which depends on equal sizes
    with pytest.raises(UsageError, match="^reference_n 5"):
        evaluated(sets, reference_n=5)


def test_sets_that_cannot_be_paired_are_refused_before_they_are_measured(sets: Path):
    told = Recorded()
    with pytest.raises(UsageError, match="40 samples against 30: .* give n 30"):
        evaluated(sets, told, against="few.npz")
    assert told.events == []
    found = evaluated(sets, told, against="few.npz", n=30)
    assert set(found.differences or ()) == {"fd", "kid"}
