"""KID and CMMD against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95, Estimate
from undrift.metrics.kernel import (
    _between,
    _Sums,
    _within,
    gaussian_distance,
    kernel_distance,
    kernel_distances_without,
    subset_kernel_distance,
)


def standard_error(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / (2 * Z95)


def cubic(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def test_agrees_with_the_definition():
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(9, 4)), 0.5 + draws.normal(size=(7, 4))
    own = [
        np.mean([cubic(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
        for s in (x, y)
    ]
    exact = sum(own) - 2 * np.mean([cubic(a, b) for a in x for b in y])
    for chunk in (1, 4, 1024):
        assert kernel_distance(x, y, chunk=chunk).value == pytest.approx(exact, rel=1e-12)
    whole = kernel_distance(x, y)
    assert standard_error(kernel_distance(x, y, chunk=4)) == pytest.approx(standard_error(whole))


@pytest.mark.parametrize("scale, mean", [(1.3, 0.0), (1.0, 0.0), (1.0, 0.2)])
def test_kid_of_gaussians_has_a_closed_form(scale: float, mean: float):
    size, draws, found = 64, np.random.default_rng(1), []
    for _ in range(20):
        y = mean + scale * draws.normal(size=(400, size))
        found.append(kernel_distance(draws.normal(size=(400, size)), y).value)
    m = size * mean**2
    shifted = 3 * m / size + 3 * (m**2 + 2 * m + size) / size**2
    shifted += (m**3 + 3 * m * (2 * m + size) + 6 * m) / size**3
    # E k is 1 + 3/d + ... for either; only what differs is left
    moved = 1 + shifted + (1 + 3 / size) - 2 * (1 + 3 * (size + m) / size**2)
    exact = moved if mean else 3 * (scale**2 - 1) ** 2 / size
    error = np.std(found, ddof=1) / np.sqrt(20)
    assert abs(np.mean(found) - exact) < 4 * error
    assert error < 0.002  # a biased estimate is 0.01 and more away


def test_a_perfect_model_scores_below_zero_half_the_time():
    draws = np.random.default_rng(2)
    found = [
        kernel_distance(*(draws.normal(size=(50, 16)) for _ in range(2))).value for _ in range(100)
    ]
    assert 30 <= sum(value < 0 for value in found) <= 75


@pytest.mark.parametrize("n, m, shift", [(60, 90, 0.1), (60, 90, 1.0), (20, 200, 0), (200, 20, 0)])
def test_standard_error_is_the_spread_over_redraws(n: int, m: int, shift: float):
    # at shift 0, one of the three parts of second order is most of it
    draws, found = np.random.default_rng(3), []
    for _ in range(300):
        found.append(
            kernel_distance(shift + draws.normal(size=(n, 64)), draws.normal(size=(m, 64)))
        )
    variance = np.mean([standard_error(entry) ** 2 for entry in found])
    measured = np.var([entry.value for entry in found], ddof=1)
    # and more where it grows with the target and a chance is that the model is worse
    assert measured * (1 - 4 * np.sqrt(2 / 300)) < variance
    assert variance < measured * (1.5 + 4 * np.sqrt(2 / 300))


def test_what_additive_effects_leave_is_unbiased():
    draws, within, between = np.random.default_rng(8), [], []
    for _ in range(2000):
        effects = torch.from_numpy(draws.normal(size=6))
        table = torch.from_numpy(draws.normal(size=(6, 6))).triu(1)
        table = 3 + table + table.T + effects[:, None] + effects[None]
        table.fill_diagonal_(0.0)
        sums = _Sums(table.sum(1), table.sum(0), float((table**2).sum()))
        within.append(_within(sums, 6)[1])
        table = torch.from_numpy(draws.normal(size=(6, 4))) + effects[:, None]
        sums = _Sums(table.sum(1), table.sum(0), float((table**2).sum()))
        between.append(_between(sums, 6, 4)[1])
    assert np.mean(within) == pytest.approx(1.0, abs=4 * np.std(within) / np.sqrt(2000))
    assert np.mean(between) == pytest.approx(1.0, abs=4 * np.std(between) / np.sqrt(2000))


def test_subsets_agree_with_all_on_average():
    draws = np.random.default_rng(5)
    x, y = draws.normal(size=(200, 8)), 0.4 + draws.normal(size=(150, 8))
    found = subset_kernel_distance(x, y, subset_size=40, subsets=400)
    margin = 4 * found.deviation / np.sqrt(400)
    assert abs(found.mean - kernel_distance(x, y).value) < margin
    assert found == subset_kernel_distance(x, y, subset_size=40, subsets=400)
    assert found.mean != subset_kernel_distance(x, y, 40, 400, seed=1).mean


def test_groups_left_out_are_as_if_they_had_never_been_there():
    draws = np.random.default_rng(9)
    x, y = draws.normal(size=(43, 6)), 0.4 + draws.normal(size=(31, 6))
    groups = np.array_split(draws.permutation(43), 5)
    found = kernel_distances_without(x, y, groups, chunk=10)
    wanted = [kernel_distance(np.delete(x, group, 0), y).value for group in groups]
    assert found == pytest.approx(wanted, rel=1e-10)
    with pytest.raises(UsageError, match="42 of 43 images left out"):
        kernel_distances_without(x, y, [np.arange(42)])


def test_cmmd_of_gaussians_has_a_closed_form():
    # E k = |I + (S_1 + S_2) / b^2|^(-1/2) exp(-D^T (b^2 I + S_1 + S_2)^-1 D / 2)
    size, width, shift, scale = 32, 10.0, 0.7, 1.5

    def expected(a: float, b: float, offset: float) -> float:
        spread = (a + b) / width**2
        return (1 + spread) ** (-size / 2) * np.exp(-size * offset**2 / (2 * (width**2 + a + b)))

    exact = expected(1, 1, 0) + expected(scale**2, scale**2, 0) - 2 * expected(1, scale**2, shift)
    draws, found = np.random.default_rng(6), []
    for _ in range(12):
        x, y = draws.normal(size=(500, size)), shift + scale * draws.normal(size=(500, size))
        found.append(gaussian_distance(x, y).value)
    error = np.std(found, ddof=1) / np.sqrt(12)
    assert abs(np.mean(found) - 1000 * exact) < 4 * error
    assert error < 0.01 * 1000 * exact


def test_cmmd_is_unbiased_on_equal_distributions():
    draws, found = np.random.default_rng(7), []
    for _ in range(20):
        rows = draws.normal(size=(200, 768))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found.append(gaussian_distance(rows[:100], rows[100:]).value)
    error = np.std(found, ddof=1) / np.sqrt(20)
    assert abs(np.mean(found)) < 4 * error
    assert error < 0.187 / 8  # the original's bias at 100 images is 0.187


def test_what_cannot_be_compared_is_refused():
    rows = np.zeros((10, 4))
    with pytest.raises(UsageError, match="one extractor"):
        kernel_distance(rows, np.zeros((10, 5)))
    with pytest.raises(UsageError, match="n >= 4"):
        kernel_distance(rows, rows[:3])
    with pytest.raises(UsageError, match="NaN"):
        gaussian_distance(rows, np.full((10, 4), np.nan))
    with pytest.raises(UsageError, match="bandwidth"):
        gaussian_distance(rows, rows, bandwidth=0.0)
    with pytest.raises(UsageError, match="subsets of 11"):
        subset_kernel_distance(rows, rows, subset_size=11)
