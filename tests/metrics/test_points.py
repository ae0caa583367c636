"""Modes found, quality, evenness and spread of points, against what they are by hand."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95
from undrift.metrics.points import PERFECT, point_coverage

MODES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
STD = 0.5


def drawn(per_mode: list[int], seed: int = 0, std: float = STD) -> np.ndarray:
    noise = np.random.default_rng(seed)
    parts = [m + std * noise.normal(size=(n, 2)) for m, n in zip(MODES, per_mode, strict=True)]
    return np.concatenate(parts)


def test_a_point_is_good_within_three_deviations() -> None:
    points = MODES[0] + np.array([[3 * STD, 0.0], [0.0, 3 * STD + 1e-9], [-3 * STD, 0.0]])
    found = point_coverage(points, MODES, STD)
    assert found.hits == (2, 0, 0, 0)
    assert found.high_quality.value == pytest.approx(2 / 3)


def test_a_stray_touches_a_mode_and_a_quarter_of_a_share_finds_it() -> None:
    # 400 points, 100 a mode: found are those with 25 or more
    counts = [350, 25, 24, 1]
    points = np.repeat(MODES, counts, axis=0)
    found = point_coverage(points, MODES, STD)
    assert found.hits == tuple(counts) and found.modes == 4
    assert (found.found, found.touched) == (2, 4)
    # bad points make a mode neither found nor touched, but they count in n
    found = point_coverage(np.concatenate([points, np.full((400, 2), 4.0)]), MODES, STD)
    assert (found.found, found.touched) == (1, 4)
    assert found.high_quality.value == pytest.approx(0.5)
    # and they belong to the nearest mode, (4, 4) to the first: shares of 750, 25, 24 and 1 in 800
    shares = np.array([750, 25, 24, 1]) / 800
    assert found.kl.value == pytest.approx(float(shares @ np.log(4 * shares)))


def test_the_truth_scores_what_is_said_of_it() -> None:
    values = [point_coverage(drawn([625] * 4, seed), MODES, STD) for seed in range(40)]
    assert {(v.found, v.touched) for v in values} == {(4, 4)}
    n = 40 * 2500
    good = np.mean([v.high_quality.value for v in values])
    assert PERFECT == pytest.approx(1 - exp(-4.5))
    assert abs(good - PERFECT) < 4 * np.sqrt(PERFECT * (1 - PERFECT) / n)
    spreads = [v.spread for v in values]
    assert np.mean([s.value for s in spreads]) == pytest.approx(1, abs=4 * 0.5 / np.sqrt(n))


def test_evenness_has_its_floor() -> None:
    noise = np.random.default_rng(3)
    found = [point_coverage(MODES[noise.integers(0, 4, 2500)], MODES, STD) for _ in range(200)]
    assert found[0].floor_kl == pytest.approx(3 / 5000)
    # 2n KL is chi-squared of 3 degrees: deviation sqrt(6)
    mean = np.mean([entry.kl.value for entry in found])
    assert mean == pytest.approx(3 / 5000, abs=4 * np.sqrt(6 / 200) / 5000)
    collapsed = point_coverage(MODES[:1].repeat(50, axis=0), MODES, STD)
    assert (collapsed.found, collapsed.kl.value) == (1, pytest.approx(np.log(4)))


@pytest.mark.parametrize("shrunk", [0.25, 0.5])
def test_a_mode_that_shrank_shows_in_the_spread_alone(shrunk: float) -> None:
    found = point_coverage(drawn([1000] * 4, std=shrunk * STD), MODES, STD)
    assert (found.found, found.high_quality.value) == (4, 1.0)
    # nothing is cut off here, so that the root of the cut's 0.949 shows
    cut = np.sqrt(1 - 4.5 / (exp(4.5) - 1))
    assert found.spread.value == pytest.approx(shrunk / cut, rel=4 / np.sqrt(8000))
    dead = point_coverage(MODES.repeat(9, axis=0), MODES, STD)
    assert (dead.found, dead.spread.value, dead.spread.high) == (4, 0.0, 0.0)


def test_the_interval_of_the_spread_is_its_scatter() -> None:
    found = [point_coverage(drawn([50] * 4, seed), MODES, STD).spread for seed in range(200)]
    claimed = np.mean([(s.high - s.value) / Z95 for s in found])
    measured = np.std([s.value for s in found], ddof=1)
    assert claimed == pytest.approx(measured, rel=4 / np.sqrt(400))


def test_no_good_points_have_no_spread() -> None:
    found = point_coverage(np.full((5, 2), 5.0), MODES, STD)
    assert (found.found, found.touched, found.spread) == (0, 0, None)


@pytest.mark.parametrize(
    ("points", "modes", "std", "message"),
    [
        (np.zeros((3, 3)), MODES, 1.0, "wanted"),
        (np.zeros((0, 2)), MODES, 1.0, "0 points"),
        (np.zeros((3, 2)), MODES[:1], 1.0, "1 modes"),
        (np.full((3, 2), np.nan), MODES, 1.0, "finite"),
        (np.zeros((3, 2)), MODES, 0.0, "deviation"),
    ],
)
def test_what_cannot_be_is_refused(points, modes, std, message) -> None:
    with pytest.raises(UsageError, match=message):
        point_coverage(points, modes, std)
