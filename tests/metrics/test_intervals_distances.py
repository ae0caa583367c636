"""Intervals of distances hold what they estimate as often as they say, over 1,000 redraws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet import Moments, frechet_distance, frechet_estimate
from undrift.metrics.frechet_infinity import frechet_infinity
from undrift.metrics.kernel import kernel_distance

REDRAWS = 1000
SCALES = np.linspace(0.6, 1.3, 8)
REFERENCE = Moments(10**6, np.zeros(8), np.eye(8) * (10**6 - 1))


def held(estimate: Callable[[np.random.Generator], Estimate], target: float) -> float:
    """Share of intervals that hold ``target``."""
    found = [estimate(np.random.default_rng([1, i])) for i in range(REDRAWS)]
    return float(np.mean([entry.low <= target <= entry.high for entry in found]))


def samples(draws: np.random.Generator, count: int = 200) -> np.ndarray:
    """Rows from N(0.3, SCALES^2)."""
    return 0.3 + draws.normal(size=(count, 8)) * SCALES


@pytest.mark.slow
def test_frechet_intervals_are_honest():
    # the target is the mean of other draws, known to a twentieth of an interval's half
    other = [
        frechet_distance(Moments.of(samples(np.random.default_rng([2, i]))), REFERENCE)
        for i in range(5 * REDRAWS)
    ]
    target = float(np.mean(other))
    assert target > 8 * 0.09 + ((SCALES - 1) ** 2).sum()  # biased, and the interval is about that
    found = held(lambda draws: frechet_estimate(samples(draws), REFERENCE), target)
    assert 0.92 <= found <= 0.975


@pytest.mark.slow
def test_frechet_intervals_are_honest_for_a_perfect_model():
    other = [
        frechet_distance(Moments.of(np.random.default_rng([2, i]).normal(size=(200, 8))), REFERENCE)
        for i in range(5 * REDRAWS)
    ]
    found = held(
        lambda draws: frechet_estimate(draws.normal(size=(200, 8)), REFERENCE),
        float(np.mean(other)),
    )
    assert found >= 0.92


@pytest.mark.slow
def test_extrapolated_frechet_intervals_are_honest():
    # in two dimensions, far enough from zero; the target is the distance itself
    target = 2 * 0.7**2 + 2 * 0.5**2

    def estimate(draws: np.random.Generator) -> Estimate:
        x = 0.7 + 1.5 * draws.normal(size=(200, 2))
        return frechet_infinity(x, draws.normal(size=(200, 2)), points=4)

    assert 0.92 <= held(estimate, target) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.3, 1.0])
def test_kernel_intervals_are_honest(scale: float):
    # the closed form, for a model that is off, and for a perfect one
    def estimate(draws: np.random.Generator) -> Estimate:
        return kernel_distance(scale * draws.normal(size=(150, 32)), draws.normal(size=(120, 32)))

    found = held(estimate, 3 * (scale**2 - 1) ** 2 / 32)
    assert 0.92 <= found
    assert found <= 0.975 or scale == 1.0
