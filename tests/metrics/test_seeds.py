"""Intervals over seeds against worked values, and their promise to hold the mean in 95 %."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.seeds import over_seeds, paired_over_seeds


def test_a_worked_example():
    # m = 3, s^2 = 10/4, t(0.975, 4) = 2.776445 (table): half = 2.776445 sqrt(2.5 / 5)
    found = over_seeds({0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 5.0})
    assert found is not None and (found.n, found.value) == (5, 3.0)
    assert found.deviation == pytest.approx(2.5**0.5)
    assert found.low == pytest.approx(3 - 1.963243, abs=1e-5)
    assert found.high == pytest.approx(3 + 1.963243, abs=1e-5)


def test_one_seed_has_a_value_and_no_interval_and_none_has_nothing():
    found = over_seeds({7: 2.5})
    assert found is not None and found.value == 2.5 and found.low is found.high is None
    assert over_seeds({}) is None


def test_what_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="finite"):
        over_seeds({0: 1.0, 1: float("nan")})


def test_pairs_are_of_the_same_seed_and_cancel_what_seeds_share():
    shared = {seed: 100.0 * seed for seed in range(5)}
    second = {seed: value + 1.0 + 0.01 * seed for seed, value in shared.items()}
    found = paired_over_seeds(second, shared | {9: 0.0})
    assert found is not None and found.n == 5 and found.value == pytest.approx(1.02)
    assert found.high is not None and found.high < 1.1  # unpaired it would be hundreds wide
    assert paired_over_seeds({0: 1.0}, {1: 1.0}) is None


def test_the_interval_holds_the_mean_in_95_percent_of_cases():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 4))
    held = 0
    for row in draws:
        found = over_seeds(dict(enumerate(row.tolist())))
        assert found is not None and found.low is not None and found.high is not None
        held += found.low <= 3.0 <= found.high
    error = (0.95 * 0.05 / len(draws)) ** 0.5
    assert abs(held / len(draws) - 0.95) < 4 * error  # a normal quantile would give 0.85
