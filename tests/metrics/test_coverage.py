"""Density, coverage, precision and recall against brute force, expectations and known failures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from undrift.errors import UsageError
from undrift.metrics import Neighbourhoods, expected_coverage, neighbourhoods
from undrift.metrics.coverage import radii


def brute_force(x: np.ndarray, y: np.ndarray, k: int) -> Neighbourhoods:
    """The definitions, word for word."""

    def radius(points: np.ndarray, i: int) -> float:
        others = [np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i]
        return sorted(others)[k - 1]

    real, generated = ([radius(s, i) for i in range(len(s))] for s in (x, y))
    distance = np.array([[np.linalg.norm(a - b) for b in y] for a in x])
    inside = np.array([[distance[i, j] < real[i] for j in range(len(y))] for i in range(len(x))])
    held = np.array([[distance[i, j] < generated[j] for j in range(len(y))] for i in range(len(x))])
    return Neighbourhoods(
        precision=inside.any(axis=0).mean(),
        recall=held.any(axis=1).mean(),
        density=inside.sum() / (k * len(y)),
        coverage=inside.any(axis=1).mean(),
        real=len(x),
        generated=len(y),
        k=k,
    )


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_agrees_with_the_definitions(chunk: int):
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(40, 3)), 0.4 + 0.8 * draws.normal(size=(29, 3))
    x[5] = x[6]  # duplicates, and a copy
    y[3] = x[9]
    assert neighbourhoods(x, y, k=3, chunk=chunk) == brute_force(x, y, k=3)


def test_radius_leaves_the_point_itself_out():
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    assert radii(points, 1).tolist() == [1.0, 1.0, 2.0, 4.0]
    assert radii(points, 2, chunk=3).tolist() == [3.0, 2.0, 3.0, 6.0]


def test_a_point_on_the_border_is_outside():
    real = np.array([[0.0], [1.0], [2.0]])
    assert neighbourhoods(real, np.array([[3.0], [4.0]]), k=1).coverage == 0
    assert neighbourhoods(real, np.array([[2.999], [4.0]]), k=1).coverage == pytest.approx(1 / 3)


def test_equal_distributions_have_the_expected_coverage_and_density():
    draws, values = np.random.default_rng(1), []
    for _ in range(16):
        x, y = draws.normal(size=(200, 6)), draws.normal(size=(300, 6))
        values.append(neighbourhoods(x, y, k=5))
    for found, wanted in (
        ([v.coverage for v in values], expected_coverage(200, 300, 5)),
        ([v.density for v in values], 1.0),
    ):
        assert abs(np.mean(found) - wanted) < 4 * np.std(found, ddof=1) / 4
        assert np.std(found, ddof=1) < 0.1


def test_expected_coverage_depends_on_the_sizes():
    assert expected_coverage(1000, 1000, 5) == pytest.approx(0.9690, abs=1e-4)
    assert expected_coverage(2000, 1000, 5) == pytest.approx(0.8686, abs=1e-3)
    assert expected_coverage(3, 1, 1) == pytest.approx(1 - 2 / 3)


def test_collapse_shows_in_coverage_only():
    draws = np.random.default_rng(2)
    real = draws.normal(size=(400, 8))
    collapsed = np.repeat(real[:10], 40, axis=0)
    found = neighbourhoods(real, collapsed)
    assert found.precision == 1.0
    assert found.coverage < 0.15
    assert found.recall == 0.0  # balls of duplicates have no inside


def test_a_missing_half_costs_half_the_coverage():
    draws = np.random.default_rng(3)
    real = draws.normal(size=(400, 4))
    real[:200, 0] += 20
    found = neighbourhoods(real, real[:200][draws.permutation(200)])
    assert found.coverage == pytest.approx(0.5, abs=0.02)


def test_a_copycat_covers_everything():
    real = np.random.default_rng(4).normal(size=(100, 8))
    found = neighbourhoods(real, real.copy())
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)


def test_duplicates_do_not_cover_each_other():
    real = np.repeat(np.random.default_rng(5).normal(size=(50, 4)), 10, axis=0)
    found = neighbourhoods(real, real.copy(), k=5)
    assert (found.coverage, found.recall) == (0.0, 0.0)


def test_what_cannot_be_compared_is_refused():
    five = np.zeros((5, 3))
    with pytest.raises(UsageError, match="k = 5"):
        neighbourhoods(five, np.zeros((9, 3)), k=5)
    with pytest.raises(UsageError, match="one extractor"):
        neighbourhoods(five, np.zeros((5, 2)), k=1)
    with pytest.raises(UsageError, match="NaN"):
        neighbourhoods(five, np.full((5, 3), np.inf), k=1)
