"""Score intervals of numbers with a range: within it by construction, and as often right."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from undrift.errors import UsageError
from undrift.metrics.bounded import ANY, POSITIVE, SHARE, bounded_interval, difference_of
from undrift.metrics.wilson import wilson_interval


def test_the_equation_holds_at_both_ends():
    for value, half, (a, b) in [
        (0.545, 0.975, SHARE),
        (0.999, 0.0127, SHARE),
        (0.3, 0.2, (-1.0, 1.0)),
        (7.5, 31.8, POSITIVE),
        (4.0, 0.1, (1.0, inf)),
    ]:

        def variance(t: float, a: float = a, b: float = b) -> float:
            return (t - a) * ((b - t) if b < inf else 1.0)

        for end in bounded_interval(value, half, (a, b)):
            assert (value - end) ** 2 == pytest.approx(
                half**2 * variance(end) / variance(value), rel=1e-6, abs=1e-15
            )


def test_of_a_share_it_is_wilsons_and_far_from_the_ends_the_usual_one():
    half = 1.959963984540054 * sqrt(0.3 * 0.7 / 50)
    assert bounded_interval(0.3, half, SHARE) == pytest.approx(wilson_interval(15, 50))
    assert bounded_interval(0.5, 1e-4, SHARE) == pytest.approx((0.4999, 0.5001), abs=1e-9)
    assert bounded_interval(1e6, 2.0, POSITIVE) == pytest.approx((1e6 - 2, 1e6 + 2), abs=1e-4)
    assert bounded_interval(-3.0, 5.0, ANY) == (-8.0, 2.0)


@pytest.mark.parametrize("within", [SHARE, POSITIVE, (-1.0, 1.0), (1.0, inf)])
def test_it_is_in_the_range_and_holds_the_value_for_every_width(within: tuple[float, float]):
    a, top = within[0], min(within[1], 1e9)
    for share in (0.0, 1e-300, 1e-12, 0.01, 0.5, 0.99, 1 - 1e-12, 1.0):
        value = a + share * (top - a)
        for half in (0.0, 1e-300, 1e-9, 0.1, 1.0, 1e3, 1e12):
            low, high = bounded_interval(value, half, within)
            assert within[0] <= low <= value <= high <= within[1], (value, half)


def test_what_is_no_interval_is_refused():
    for value, half in ((1.2, 0.1), (0.5, -0.1), (0.5, float("nan")), (float("nan"), 0.1)):
        with pytest.raises(UsageError, match="wanted a value in the range"):
            bounded_interval(value, half, SHARE)
    assert difference_of(SHARE) == (-1.0, 1.0)
    assert difference_of(POSITIVE) == ANY


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(
    ("draw", "mean", "within"),
    [
        (lambda draws, size: draws.beta(19.0, 1.0, size), 0.95, SHARE),
        (lambda draws, size: draws.beta(2.0, 2.0, size), 0.5, SHARE),
        (lambda draws, size: draws.gamma(4.0, 1.0, size), 4.0, POSITIVE),
    ],
    ids=["near one", "half", "positive"],
)
def test_it_holds_a_known_mean_more_often_than_the_usual_interval(
    count: int,
    draw: object,
    mean: float,
    within: tuple[float, float],
):
    assert callable(draw)
    values = draw(np.random.default_rng(count), (2000, count))
    halves = student.ppf(0.975, count - 1) * values.std(axis=1, ddof=1) / sqrt(count)
    held, usual, impossible = 0, 0, 0
    for value, half in zip(values.mean(axis=1).tolist(), halves.tolist(), strict=True):
        low, high = bounded_interval(value, half, within)
        held += low <= mean <= high
        usual += abs(value - mean) <= half
        impossible += value - half < within[0] or value + half > within[1]
    assert impossible > 30  # the usual one leaves the range
    assert held >= usual and 0.92 < held / len(values) < 0.97
