"""The probe's pace: a median where all updates are alike, a mean over rounds where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from undrift.training import probe
from undrift.training.learner import Phase
from undrift.training.signals import StopSignals

from .small import ALONE, plan


class Clock:
    """A trainer of which update k takes a known time, and the clock that shows it."""

    def __init__(self, every: int, slow: float) -> None:
        self.now = 0.0
        self.every, self.slow = every, slow
        phases = (Phase("often", "a"), Phase("seldom", "b", every=every))
        self.learner = SimpleNamespace(phases=phases)

    def perf_counter(self) -> float:
        return self.now

    def updates(self, stop: StopSignals) -> Iterator[int]:
        for step in range(1000):
            self.now += self.slow if step % self.every == 0 else 1.0
            yield step + 1


def pace(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float) -> float:
    monkeypatch.setattr(probe, "Trainer", lambda *_, **__: clock)
    monkeypatch.setattr(probe, "time", clock)
    return probe.measure(lambda: None, plan(), None, ALONE, seconds, StopSignals())


@pytest.mark.parametrize("seconds", [1.0, 40.0, 41.0, 43.0])
def test_phases_that_take_turns_are_measured_by_whole_rounds(monkeypatch, seconds: float) -> None:
    """Every third update takes 7 s, the others 1 s: 3 s on average, whenever the probe ends."""
    assert pace(monkeypatch, Clock(every=3, slow=7.0), seconds) == 3.0


def test_equal_updates_are_measured_by_their_median(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace(monkeypatch, Clock(every=1, slow=1.0), 20.0) == 1.0


def test_memory_is_tried_with_every_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that is updated on every fifth step has its turn before the size is kept."""
    phases, ran = (Phase("judge", "a"), Phase("draw", "b", every=5, offset=4)), []

    def run(stop: StopSignals, until: int) -> None:
        ran.extend(p.name for step in range(until) for p in phases if p.due(step))

    trial = SimpleNamespace(learner=SimpleNamespace(phases=phases), run=run)
    monkeypatch.setattr(probe, "Trainer", lambda *_, **__: trial)
    assert probe.fit_micro_batch(lambda: None, plan(), None, ALONE) is None
    assert ran == ["judge"] * 5 + ["draw"]
