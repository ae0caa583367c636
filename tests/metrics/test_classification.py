"""Wilson's interval against published values, label accuracy against counting."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics import Share, label_accuracy, wilson_interval


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # R's prop.test(hits, count, correct = FALSE)
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0)],
)
def test_published_intervals(hits: int, count: int, low: float, high: float):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_interval_solves_the_score_equation():
    # its ends are the p at which the observed share is z standard errors of p away
    for hits, count in ((3, 40), (39, 40), (500, 1000)):
        for p in wilson_interval(hits, count):
            distance = abs(hits / count - p) / np.sqrt(p * (1 - p) / count)
            assert distance == pytest.approx(1.959964, rel=1e-6)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    draws, truth, count = np.random.default_rng(0), 0.97, 200
    ends = [wilson_interval(int(hits), count) for hits in draws.binomial(count, truth, 2000)]
    held = np.mean([low <= truth <= high for low, high in ends])
    assert 0.92 < held < 0.98


def test_label_accuracy_counts_agreement():
    share = label_accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))
    assert share == Share(3, 4)
    assert share.value == 0.75
    assert share.interval == wilson_interval(3, 4)


def test_what_makes_no_share_is_refused():
    with pytest.raises(UsageError, match="shapes"):
        label_accuracy(np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(UsageError, match="0 in 0"):
        Share(0, 0)
    with pytest.raises(UsageError, match="5 in 4"):
        Share(5, 4)
