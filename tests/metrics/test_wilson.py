"""Intervals of shares whose cases come in groups."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.wilson import grouped_interval, wilson_interval


def test_cases_of_groups_of_their_own_have_wilsons_interval() -> None:
    hits = np.arange(40) % 4 == 0
    assert grouped_interval(hits, np.arange(40)) == pytest.approx(wilson_interval(10, 40))


@pytest.mark.parametrize("found", [0, 3, 12])
def test_repeated_cases_say_no_more_than_one_of_each(found: int) -> None:
    hits, groups = np.repeat(np.arange(12) < found, 5), np.repeat(np.arange(12), 5)
    assert grouped_interval(hits, groups) == pytest.approx(wilson_interval(found, 12))


def test_groups_that_differ_by_chance_alone_hardly_matter() -> None:
    hits = np.random.default_rng(0).random(4000) < 0.3
    low, high = grouped_interval(hits, np.arange(4000) % 800)
    alone = wilson_interval(int(hits.sum()), 4000)
    assert 1 <= (high - low) / (alone[1] - alone[0]) < 1.1


def test_it_covers_the_share_of_groups_that_differ() -> None:
    """Shares of 30 groups are 0 or 1 half of the time: intervals of 95 % hold the mean share."""
    noise, held, naive = np.random.default_rng(1), 0, 0
    groups = np.repeat(np.arange(30), 8)
    for _ in range(400):
        hits = noise.random(240) < np.repeat(noise.choice([0.1, 0.9], 30), 8)
        low, high = grouped_interval(hits, groups)
        held += low <= 0.5 <= high
        low, high = wilson_interval(int(hits.sum()), 240)
        naive += low <= 0.5 <= high
    assert 0.91 < held / 400 < 0.99 and naive / 400 < 0.8


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no cases"):
        grouped_interval(np.zeros(0, bool), np.zeros(0, np.int64))
