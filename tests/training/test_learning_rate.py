from __future__ import annotations

import pytest

from undrift.errors import UsageError
from undrift.training.learning_rate import LearningRate


def factors(schedule: LearningRate, steps: int) -> list[float]:
    return [schedule.factor((step + 0.5) / steps) for step in range(steps)]


def test_it_rises_stays_and_falls() -> None:
    values = factors(LearningRate(warm_up=0.1, decay=0.5), 100)
    assert values[:10] == pytest.approx([(i + 0.5) / 10 for i in range(10)])
    assert values[10:50] == [1.0] * 40
    assert values[50:] == pytest.approx([(49.5 - i) / 50 for i in range(50)])


def test_no_update_is_wasted() -> None:
    for steps in (1, 2, 3, 10, 1000):
        values = factors(LearningRate(0.02, 0.98), steps)
        assert all(0 < value <= 1 for value in values)
        assert values[-1] <= 0.5 / (0.98 * steps) + 1e-12


def test_the_extremes() -> None:
    assert factors(LearningRate(0, 0), 5) == [1.0] * 5
    assert factors(LearningRate(0, 1), 4) == pytest.approx([0.875, 0.625, 0.375, 0.125])
    assert factors(LearningRate(1, 0), 4) == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_an_extended_run_goes_on_from_a_higher_rate() -> None:
    schedule = LearningRate(0, 0.5)
    assert schedule.factor(99.5 / 200) == 1.0 > schedule.factor(99.5 / 100)


@pytest.mark.parametrize(
    ("warm_up", "decay"), [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.5), (float("nan"), 0.5)]
)
def test_impossible_shares_are_refused(warm_up: float, decay: float) -> None:
    with pytest.raises(UsageError, match="shares of the run"):
        LearningRate(warm_up, decay)
