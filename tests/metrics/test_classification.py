"""Wilson's interval against published values, label accuracy against counting."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.classification import label_accuracy, per_class_accuracy
from undrift.metrics.wilson import difference_of_shares, wilson_interval


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


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    # Newcombe 1998, method 10: both, first alone, second alone, neither
    [((36, 12, 2, 0), 0.0569, 0.3404), ((36, 14, 0, 0), 0.1528, 0.4167)],
)
def test_published_intervals_of_pairs(cells: tuple[int, ...], low: float, high: float):
    first, second = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], cells, axis=0).T == 1
    value = (cells[1] - cells[2]) / 50
    assert difference_of_shares(first, second) == pytest.approx((value, low, high), abs=1e-4)
    assert difference_of_shares(second, first) == pytest.approx((-value, -high, -low), abs=1e-4)


def test_what_two_shares_have_in_common_makes_their_difference_surer():
    draws = np.random.default_rng(0).random((400, 100))
    first, second = draws < 0.8, (draws < 0.7) ^ (np.random.default_rng(1).random((400, 100)) < 0.1)
    truth = 0.8 - (0.7 * 0.9 + 0.3 * 0.1)
    ends = [difference_of_shares(a, b)[1:] for a, b in zip(first, second, strict=True)]
    apart = [difference_of_shares(a, b)[1:] for a, b in zip(first, second[:, ::-1], strict=True)]
    assert 0.92 < np.mean([low <= truth <= high for low, high in ends]) < 0.98
    assert np.mean(np.diff(ends)) < 0.85 * np.mean(np.diff(apart))


def test_label_accuracy_counts_agreement():
    found = label_accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))
    assert found.value == 0.75
    assert (found.low, found.high) == wilson_interval(3, 4)
    assert "4 images" in found.method


def test_accuracy_by_class_counts_within_what_was_asked_for():
    asked = np.array([0, 0, 0, 3, 3, 1])
    predicted = np.array([0, 0, 3, 3, 3, 0])
    found = per_class_accuracy(predicted, asked, 5)
    assert {label: estimate.value for label, estimate in found.items()} == {
        0: pytest.approx(2 / 3),
        1: 0.0,
        3: 1.0,
    }
    assert (found[0].low, found[0].high) == wilson_interval(2, 3)


def test_the_interval_holds_the_share_itself_at_its_ends():
    for hits, count in ((0, 7), (7, 7), (3.3, 3.3), (0, 2.5)):
        low, high = wilson_interval(hits, count)
        assert 0 <= low <= hits / count <= high <= 1


def test_what_makes_no_share_is_refused():
    with pytest.raises(UsageError, match="shapes"):
        label_accuracy(np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(UsageError, match="shapes"):
        label_accuracy(np.zeros(0, int), np.zeros(0, int))
    with pytest.raises(UsageError, match="0 in 0"):
        wilson_interval(0, 0)
    with pytest.raises(UsageError, match="5 in 4"):
        wilson_interval(5, 4)
    with pytest.raises(UsageError, match="3 classes were named"):
        per_class_accuracy(np.zeros(2, int), np.array([0, 3]), 3)
