"""The sliced Wasserstein distance against closed forms and an independent optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95
from undrift.metrics.sliced import _steps, sliced_distance, sliced_distances_without


@pytest.mark.parametrize("scale, mean, exact", [(1.5, 0.0, 24.0), (1.0, 1.0, 96.0)])
def test_gaussians_have_a_closed_form(scale: float, mean: float, exact: float):
    # 3 d ((s - 1)^2 + |m|^2 / d), d = 32; every entry of the mean counts
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(4000, 32)), mean + scale * draws.normal(size=(4000, 32))
    found = sliced_distance(x, y, directions=200)
    # |u.m|^2 over 200 directions of 32 dimensions strays by sqrt(2 / 200)
    assert found.value == pytest.approx(exact, rel=0.05 if mean == 0 else 0.35)
    assert found.low < found.value < found.high


def test_a_shift_in_one_dimension_is_exact():
    x = np.random.default_rng(1).normal(size=(30, 1))
    assert sliced_distance(x, x + 2.0, directions=3).value == pytest.approx(3 * 4.0)
    assert sliced_distance(x, x[::-1], directions=3).value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n, m", [(5, 8), (6, 4), (7, 7), (1000, 999)])
def test_steps_cut_both_quantile_functions(n: int, m: int):
    first, second, weights = _steps(n, m)
    assert float(weights.sum()) == pytest.approx(1.0)
    for index, count in ((first, n), (second, m)):
        share = torch.zeros(count, dtype=torch.float64).index_add_(0, index, weights)
        np.testing.assert_allclose(share, 1 / count)


def test_unequal_counts_are_transported_best():
    draws = np.random.default_rng(2)
    x, y = draws.normal(size=(5, 1)), draws.normal(size=(8, 1))
    cost = (x - y.T) ** 2
    rows = np.kron(np.eye(5), np.ones(8))
    columns = np.kron(np.ones(5), np.eye(8))
    best = linprog(
        cost.ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.r_[np.full(5, 1 / 5), np.full(8, 1 / 8)],
    )
    assert sliced_distance(x, y, directions=2).value == pytest.approx(3 * best.fun, rel=1e-9)


def test_repeating_every_row_changes_nothing():
    draws = np.random.default_rng(3)
    x, y = draws.normal(size=(20, 6)), draws.normal(size=(30, 6))
    once, twice = sliced_distance(x, y, 50), sliced_distance(np.repeat(x, 2, axis=0), y, 50)
    assert once.value == pytest.approx(twice.value, rel=1e-12)


def test_standard_error_is_the_jackknifes():
    draws = np.random.default_rng(4)
    x, y = 0.8 + draws.normal(size=(120, 3)), 1.4 * draws.normal(size=(90, 3))
    total = 0.0
    for rows, other in ((x, y), (y, x)):
        n = len(rows)
        left_out = [sliced_distance(np.delete(rows, i, 0), other, 40).value for i in range(n)]
        total += (n - 1) / n * ((left_out - np.mean(left_out)) ** 2).sum()
    found = sliced_distance(x, y, 40)
    assert (found.high - found.value) / Z95 == pytest.approx(np.sqrt(total), rel=0.05)


def test_standard_error_is_the_spread_over_redraws():
    draws = np.random.default_rng(5)
    found = [
        sliced_distance(0.7 + draws.normal(size=(100, 4)), draws.normal(size=(150, 4)), 30)
        for _ in range(200)
    ]
    claimed = np.mean([(entry.high - entry.value) / Z95 for entry in found])
    measured = np.std([entry.value for entry in found], ddof=1)
    assert claimed == pytest.approx(measured, rel=4 / np.sqrt(2 * 200))


@pytest.mark.parametrize("count", [30, 40])
def test_groups_left_out_are_as_if_they_had_never_been_there(count: int):
    draws = np.random.default_rng(7)
    x, y = draws.normal(size=(40, 3)), 0.5 + draws.normal(size=(count, 3))
    groups = np.array_split(draws.permutation(40), 7)
    found = sliced_distances_without(x, y, groups, 20, seed=3)
    wanted = [sliced_distance(np.delete(x, group, 0), y, 20, seed=3).value for group in groups]
    assert found == pytest.approx(wanted, rel=1e-10)
    with pytest.raises(UsageError, match="all of 40 images left out"):
        sliced_distances_without(x, y, [np.arange(40)])


def test_directions_are_named_by_the_seed():
    draws = np.random.default_rng(6)
    x, y = draws.normal(size=(20, 5)), draws.normal(size=(20, 5))
    assert sliced_distance(x, y, 10, seed=1) == sliced_distance(x, y, 10, seed=1)
    assert sliced_distance(x, y, 10, seed=1) != sliced_distance(x, y, 10, seed=2)


def test_what_cannot_be_compared_is_refused():
    rows = np.zeros((10, 4))
    with pytest.raises(UsageError, match="one extractor"):
        sliced_distance(rows, np.zeros((10, 5)))
    with pytest.raises(UsageError, match="n >= 2"):
        sliced_distance(rows, rows[:1])
    with pytest.raises(UsageError, match="NaN"):
        sliced_distance(rows, np.full((10, 4), np.nan))
    with pytest.raises(UsageError, match="0 directions"):
        sliced_distance(rows, rows, directions=0)
