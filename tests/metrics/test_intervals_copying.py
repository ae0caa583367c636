"""Intervals about copying hold their target as often as they say, over a thousand draws."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.metrics.memorization import c_t, memorized_share
from undrift.metrics.nearest import Neighbours

DRAWS = 1000


def test_memorized_share_allows_for_the_threshold():
    # shares below the true 1 % quantile: 0.01 of new images, and 0.05 with copies among them
    draws, index = np.random.default_rng(2), np.zeros(800, np.int64)
    for truth in (0.01, 0.05):
        held = 0
        for _ in range(DRAWS):
            real, made = draws.random(1000), draws.random(800)
            copied = draws.random(800) < (truth - 0.01) / 0.99
            made[copied] *= 0.01
            result = memorized_share(
                Neighbours(index, made, np.ones(800)),
                Neighbours(np.zeros(1000, np.int64), real, np.ones(1000)),
            ).share
            held += result.low <= truth <= result.high
        assert 0.92 < held / DRAWS < 0.99


def test_c_t():
    # C_T's expectation when a sample is farther than a held-out image with chance 0.6
    draws, n, m = np.random.default_rng(3), 150, 200
    shift = 0.35828 * 1  # P(N(shift, 1) > N(0, 1)) = 0.6
    wanted = (0.6 - 0.5) * n * m / np.sqrt(n * m * (n + m + 1) / 12)
    found = [c_t(draws.normal(shift, 1, n), draws.normal(0, 1, m)) for _ in range(DRAWS)]
    assert np.mean([each.value for each in found]) == pytest.approx(wanted, abs=0.13)
    assert 0.92 < np.mean([each.low <= wanted <= each.high for each in found]) < 0.975
