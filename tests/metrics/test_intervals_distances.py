"""Intervals of distances hold what they estimate as often as they say, for good and bad models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.frechet_infinity import frechet_infinity
from undrift.metrics.kernel import kernel_distance
from undrift.metrics.moments import Moments

Draws = np.random.Generator
SCALES = np.linspace(0.6, 1.3, 8)
REFERENCE = Moments(10**6, np.zeros(8), np.eye(8) * (10**6 - 1))


@dataclass(frozen=True)
class Regime:
    """A known pair of distributions: an estimate from one draw of them, and its target."""

    estimate: Callable[[Draws], Estimate]
    target: Callable[[], float]


def frechet(mean: float, scales: np.ndarray) -> Regime:
    def samples(draws: Draws) -> np.ndarray:
        return mean + draws.normal(size=(200, 8)) * scales

    def expectation() -> float:
        # biased, and the interval is about that: the mean of other draws, which is known to a
        # twentieth of an interval's half
        rounds = (samples(np.random.default_rng([2, i])) for i in range(3000))
        found = [frechet_distance(Moments.of(rows), REFERENCE) for rows in rounds]
        assert np.mean(found) > 8 * mean**2 + ((scales - 1) ** 2).sum()
        return float(np.mean(found))

    return Regime(lambda draws: frechet_estimate(samples(draws), REFERENCE), expectation)


def extrapolated(mean: float, scale: float, size: int) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        x = mean + scale * draws.normal(size=(200, size))
        return frechet_infinity(x, draws.normal(size=(200, size)), points=4)

    # the distance itself
    return Regime(estimate, lambda: size * (mean**2 + (scale - 1) ** 2))


def kernel(scale: float, counts: tuple[int, int], size: int) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        x, y = (draws.normal(size=(count, size)) for count in counts)
        return kernel_distance(scale * x, y)

    # the closed form
    return Regime(estimate, lambda: 3 * (scale**2 - 1) ** 2 / size)


REGIMES = {
    "FD, off": frechet(0.3, SCALES),
    "FD, slightly off": frechet(0.1, np.ones(8)),
    "FD, perfect": frechet(0.0, np.ones(8)),
    "FD-infinity, off": extrapolated(0.7, 1.5, 2),
    "FD-infinity, perfect": extrapolated(0.0, 1.0, 4),
    "KID, off": kernel(1.3, (150, 120), 32),
    "KID, perfect": kernel(1.0, (150, 120), 32),
    "KID, perfect, few directions": kernel(1.0, (80, 80), 4),
}


def held(regime: Regime, rounds: int) -> float:
    """Share of intervals that hold the target."""
    target = regime.target()
    found = [regime.estimate(np.random.default_rng([1, i])) for i in range(rounds)]
    return float(np.mean([entry.low <= target <= entry.high for entry in found]))


@pytest.mark.slow
@pytest.mark.parametrize("name", REGIMES)
def test_intervals_are_honest(name: str):
    assert 0.92 <= held(REGIMES[name], 1000) <= 0.975


@pytest.mark.parametrize("name", ["FD-infinity, perfect", "FD-infinity, off", "KID, perfect"])
def test_intervals_are_honest_as_far_as_few_draws_tell(name: str):
    # 95 % of 120, less four standard errors
    assert held(REGIMES[name], 120) >= 0.87


def test_a_score_interval_holds_what_is_less_than_two_standard_errors_away():
    found = Estimate.score(5.0, 4.0, 0.7, 1.5, "")
    targets = np.linspace(-10, 30, 200_001)
    variance = np.maximum(1.5, 4.0 + 0.7 * (targets - 5.0))
    inside = targets[(targets - 5.0) ** 2 <= 1.959963984540054**2 * variance]
    assert found.low == pytest.approx(inside.min(), abs=3e-4)
    assert found.high == pytest.approx(inside.max(), abs=3e-4)
    plain = Estimate.score(5.0, 4.0, 0.0, 1.5, "")
    normal = Estimate.normal(5.0, 2.0, "")
    assert (plain.low, plain.high) == pytest.approx((normal.low, normal.high))
    near = Estimate.score(0.1, 0.5, 1.0, 1.0, "", lowest=0.0)
    assert near.low == 0.0 and near.high > 0.1 + 1.96
