"""Density, coverage, precision and recall against brute force, expectations and known failures."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.neighbourhoods import (
    NAMES,
    Neighbourhoods,
    expected_coverage,
    kept_values,
    neighbourhood_values,
    neighbourhoods,
)
from undrift.metrics.wilson import wilson_interval


def values(found: Neighbourhoods) -> dict[str, float]:
    return {name: getattr(found, name).value for name in NAMES}


def brute_force(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    """The definitions, word for word."""

    def radius(points: np.ndarray, i: int) -> float:
        others = [np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i]
        return sorted(others)[k - 1]

    real, generated = ([radius(s, i) for i in range(len(s))] for s in (x, y))
    distance = np.array([[np.linalg.norm(a - b) for b in y] for a in x])
    inside = np.array([[distance[i, j] < real[i] for j in range(len(y))] for i in range(len(x))])
    held = np.array([[distance[i, j] < generated[j] for j in range(len(y))] for i in range(len(x))])
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": held.any(axis=1).mean(),
        "density": inside.sum() / (k * len(y)),
        "coverage": inside.any(axis=1).mean(),
    }


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_agrees_with_the_definitions(chunk: int):
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(40, 3)), 0.4 + 0.8 * draws.normal(size=(29, 3))
    x[5] = x[6]  # duplicates, and a copy
    y[3] = x[9]
    found = neighbourhoods(x, y, k=3, chunk=chunk)
    assert values(found) == pytest.approx(brute_force(x, y, k=3), abs=1e-12)
    assert neighbourhood_values(x, y, k=3, chunk=chunk) == values(found)
    assert (found.real, found.generated, found.k) == (40, 29, 3)


@pytest.mark.parametrize("count", [60, 9])
def test_parts_that_are_kept_are_as_if_there_were_nothing_else(count: int):
    draws = np.random.default_rng(7)
    x, y = draws.normal(size=(count, 3)), 0.4 + 0.8 * draws.normal(size=(count + 5, 3))
    x[5], y[3] = x[6], x[7]
    kept = [
        (np.sort(draws.permutation(count)[:-2]), np.sort(draws.permutation(count + 5)[:-left]))
        for left in (1, 4, 6)
    ]
    found = kept_values(x, y, kept, k=2, chunk=7)
    assert found == [neighbourhood_values(x[one], y[other], k=2) for one, other in kept]


def test_a_point_on_the_border_is_outside():
    real = np.array([[0.0], [1.0], [2.0]])
    assert neighbourhoods(real, np.array([[3.0], [4.0]]), k=1).coverage.value == 0
    inside = neighbourhoods(real, np.array([[2.999], [4.0]]), k=1)
    assert inside.coverage.value == pytest.approx(1 / 3)


def test_ties_stay_ties_in_many_dimensions_far_from_the_origin():
    # a copy of the k-th neighbour lies exactly on the border, outside; one of a nearer is inside
    draws = np.random.default_rng(3)
    real = 1e4 + draws.normal(size=(120, 300))
    order = ((real[:, None] - real[None]) ** 2).sum(axis=2).argsort(axis=1)
    kth, nearer = real[order[:1, 3]], real[order[:1, 2]]
    far = 1e4 + 1e3 + draws.normal(size=(5, 300))

    def covers_first(extra: np.ndarray) -> bool:
        # real[0] alone: the others are moved where no sample comes
        found = neighbourhoods(real, np.concatenate([extra, far]), k=3)
        without = neighbourhoods(np.delete(real, 0, 0), np.concatenate([extra, far]), k=3)
        return round(found.coverage.value * 120) > round(without.coverage.value * 119)

    assert covers_first(nearer)
    assert not covers_first(kth)


def test_equal_distributions_have_the_expected_coverage_and_density():
    draws, found = np.random.default_rng(1), []
    for _ in range(16):
        x, y = draws.normal(size=(200, 6)), draws.normal(size=(300, 6))
        found.append(neighbourhoods(x, y, k=5))
    for name, wanted in (("coverage", expected_coverage(200, 300, 5)), ("density", 1.0)):
        measured = [getattr(each, name).value for each in found]
        assert abs(np.mean(measured) - wanted) < 4 * np.std(measured, ddof=1) / 4
        assert np.std(measured, ddof=1) < 0.1


def test_expected_coverage_depends_on_the_sizes():
    assert expected_coverage(1000, 1000, 5) == pytest.approx(0.9690, abs=1e-4)
    assert expected_coverage(2000, 1000, 5) == pytest.approx(0.8686, abs=1e-3)
    assert expected_coverage(3, 1, 1) == pytest.approx(1 - 2 / 3)


def test_collapse_shows_in_coverage_only():
    draws = np.random.default_rng(2)
    real = draws.normal(size=(400, 8))
    collapsed = np.repeat(real[:10], 40, axis=0)
    found = neighbourhoods(real, collapsed)
    assert found.precision.value == 1.0
    assert found.coverage.value < found.coverage.high < 0.25
    assert found.coverage.value < 0.15
    assert found.recall.value == 0.0  # balls of duplicates have no inside


def test_a_missing_half_costs_half_the_coverage():
    draws = np.random.default_rng(3)
    real = draws.normal(size=(400, 4))
    real[:200, 0] += 20
    found = neighbourhoods(real, real[:200][draws.permutation(200)])
    assert found.coverage.value == pytest.approx(0.5, abs=0.02)


def test_a_copycat_covers_everything():
    real = np.random.default_rng(4).normal(size=(100, 8))
    found = neighbourhoods(real, real.copy())
    shares = [found.precision, found.recall, found.coverage]
    assert [(share.value, share.high) for share in shares] == [(1.0, 1.0)] * 3
    assert all(0.85 < share.low < 1 for share in shares)  # a hundred are not all


def test_blocks_that_all_agree_leave_wilsons_interval():
    draws = np.random.default_rng(6)
    found = neighbourhoods(draws.normal(size=(200, 2)), 0.001 * draws.normal(size=(100, 2)))
    assert (found.precision.value, found.recall.value) == (1.0, 0.0)
    assert (found.precision.low, found.precision.high) == wilson_interval(100, 100)
    assert (found.recall.low, found.recall.high) == wilson_interval(0, 200)


def test_duplicates_do_not_cover_each_other():
    real = np.repeat(np.random.default_rng(5).normal(size=(50, 4)), 10, axis=0)
    found = neighbourhoods(real, real.copy(), k=5)
    assert (found.coverage.value, found.recall.value) == (0.0, 0.0)


def test_blocks_are_named_by_the_seed_and_few_rows_have_no_interval():
    draws = np.random.default_rng(1)
    x, y = draws.normal(size=(300, 16)), 0.1 + 0.9 * draws.normal(size=(250, 16))
    first, again, other = (neighbourhoods(x, y, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert values(first) == values(other)
    assert first.density.high != other.density.high
    few = neighbourhoods(x[:20], y[:20])
    assert [getattr(few, name).low for name in NAMES] == [0.0] * 4
    assert (few.precision.high, few.coverage.high, few.density.high) == (1.0, 1.0, 4.0)
    assert "too few rows" in few.coverage.method


def test_what_cannot_be_compared_is_refused():
    five = np.zeros((5, 3))
    with pytest.raises(UsageError, match="k = 5"):
        neighbourhoods(five, np.zeros((9, 3)), k=5)
    with pytest.raises(UsageError, match="one extractor"):
        neighbourhoods(five, np.zeros((5, 2)), k=1)
    with pytest.raises(UsageError, match="NaN"):
        neighbourhoods(five, np.full((5, 3), np.inf), k=1)
    with pytest.raises(UsageError, match="shape"):
        neighbourhoods(np.zeros(5), five, k=1)
