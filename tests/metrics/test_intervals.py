"""Intervals hold what they are about as often as they say, for good and bad models.

Each regime is a known pair of distributions, drawn 1,000 times by fixed seeds. A test that could
not tell an interval from one that is a fifth narrower would prove little, so that is tested too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from undrift.metrics.classification import label_accuracy
from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.frechet_infinity import frechet_infinity
from undrift.metrics.kernel import kernel_distance
from undrift.metrics.moments import Moments
from undrift.metrics.neighbourhoods import expected_coverage, neighbourhoods

Draws = np.random.Generator
DRAWS = 1000
SCALES = np.linspace(0.6, 1.3, 8)
REFERENCE = Moments(10**6, np.zeros(8), np.eye(8) * (10**6 - 1))


@dataclass(frozen=True)
class Regime:
    """A known pair of distributions.

    Attributes:
        estimate: from one draw of both.
        target: what its interval is about; None is the expectation of the estimate, which the mean
            over all draws knows to a sixtieth of an interval.
        slow: whether 1,000 draws take more than a few seconds.
        skewed: whether the estimate is far from normal, so that the interval is on the wide side
            and one a fifth narrower only comes to the border.
    """

    estimate: Callable[[Draws], Estimate]
    target: float | None = None
    slow: bool = False
    skewed: bool = False


def frechet(mean: float, scales: np.ndarray) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        return frechet_estimate(mean + draws.normal(size=(200, 8)) * scales, REFERENCE)

    return Regime(estimate)  # biased at this n, and the interval is about that


def extrapolated(mean: float, scale: float, size: int) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        x = mean + scale * draws.normal(size=(200, size))
        return frechet_infinity(x, draws.normal(size=(200, size)), points=4)

    # the distance itself
    return Regime(estimate, size * (mean**2 + (scale - 1) ** 2), slow=True)


def kernel(scale: float, counts: tuple[int, int], size: int, skewed: bool = False) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        x, y = (draws.normal(size=(count, size)) for count in counts)
        return kernel_distance(scale * x, y)

    # the closed form
    return Regime(estimate, 3 * (scale**2 - 1) ** 2 / size, slow=True, skewed=skewed)


def coverage(mean: float, scale: float, count: int, target: float | None) -> Regime:
    def estimate(draws: Draws) -> Estimate:
        real, made = (draws.normal(size=(count, 4)) for _ in range(2))
        return neighbourhoods(real, mean + scale * made).coverage

    return Regime(estimate, target, slow=True)


def accuracy(rate: float) -> Regime:
    asked = np.zeros(300, np.int64)

    def estimate(draws: Draws) -> Estimate:
        return label_accuracy((draws.random(len(asked)) > rate).astype(np.int64), asked)

    return Regime(estimate, rate)


REGIMES = {
    "FD, off": frechet(0.3, SCALES),
    "FD, slightly off": frechet(0.1, np.ones(8)),
    "FD, perfect": frechet(0.0, np.ones(8)),
    "FD-infinity, off": extrapolated(0.7, 1.5, 2),
    "FD-infinity, perfect": extrapolated(0.0, 1.0, 4),
    "KID, off": kernel(1.3, (150, 120), 32),
    "KID, perfect": kernel(1.0, (150, 120), 32),
    "KID, perfect, few directions": kernel(1.0, (80, 80), 4, skewed=True),
    "coverage, off": coverage(0.5, 0.6, 60, None),
    "coverage, perfect": coverage(0.0, 1.0, 60, expected_coverage(60, 60, 5)),
    "accuracy, 90 %": accuracy(0.9),
    "accuracy, 70 %": accuracy(0.7),
}


def found(name: str, rounds: int) -> tuple[list[Estimate], float]:
    """Estimates of the first ``rounds`` draws, and their target."""
    regime = REGIMES[name]
    estimates = [regime.estimate(np.random.default_rng([1, i])) for i in range(rounds)]
    target = np.mean([entry.value for entry in estimates])
    return estimates, float(target) if regime.target is None else regime.target


def held(estimates: list[Estimate], target: float) -> float:
    """Share of the intervals that hold the target."""
    return float(np.mean([entry.low <= target <= entry.high for entry in estimates]))


def narrowed(entry: Estimate) -> Estimate:
    """With either end a fifth nearer to the value."""
    low, high = (entry.value + 0.8 * (end - entry.value) for end in (entry.low, entry.high))
    return replace(entry, low=low, high=high)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if regime.slow else ())
        for name, regime in REGIMES.items()
    ],
)
def test_intervals_are_honest_and_no_wider_than_that_takes(name: str):
    estimates, target = found(name, DRAWS)
    assert 0.92 <= held(estimates, target) <= 0.975
    border = 0.925 if REGIMES[name].skewed else 0.92
    assert held([narrowed(entry) for entry in estimates], target) < border


@pytest.mark.parametrize("name", [name for name, regime in REGIMES.items() if regime.slow])
def test_intervals_are_honest_as_far_as_few_draws_tell(name: str):
    # 95 % of 60, less four standard errors
    estimates, target = found(name, 60)
    assert held(estimates, target) >= 0.83


def test_the_expectation_that_the_interval_of_fd_is_about_is_above_the_distance():
    estimates, target = found("FD, off", 300)
    assert target > 8 * 0.3**2 + ((SCALES - 1) ** 2).sum() + 0.1


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
