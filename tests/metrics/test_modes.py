"""Inception score and mode coverage at their extremes and at the perfect sampler's floor."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95
from undrift.metrics.modes import inception_score, mode_coverage


def test_sure_and_even_is_the_number_of_classes():
    found = inception_score(np.eye(10)[np.arange(1000) % 10], splits=1)
    assert found.value == pytest.approx(10.0)
    assert 10 - 1e-9 < found.low <= found.high <= 10.0


def test_always_the_same_is_one():
    same = np.tile([0.2, 0.3, 0.5], (100, 1))
    assert inception_score(same).value == pytest.approx(1.0, abs=1e-12)
    assert inception_score(np.eye(3)[np.zeros(100, int)]).value == pytest.approx(1.0)


def test_agrees_with_the_definition():
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.4), size=400)
    mean = p.mean(axis=0)
    exact = np.exp((p * np.log(p / mean)).sum(axis=1).mean())
    assert inception_score(p, splits=1).value == pytest.approx(exact, rel=1e-12)
    # few images per split see too even a mean of their own: more splits, a lower score
    assert inception_score(p, splits=40).value < exact
    assert inception_score(p, seed=1).value != inception_score(p, seed=2).value


@pytest.mark.parametrize("splits", [1, 10])
def test_standard_error_is_the_spread_over_redraws(splits: int):
    draws = np.random.default_rng(1)
    found = [
        inception_score(draws.dirichlet(np.full(6, 0.3), size=300), splits) for _ in range(200)
    ]
    claimed = np.mean([(entry.high - entry.value) / Z95 for entry in found])
    measured = np.std([entry.value for entry in found], ddof=1)
    assert claimed == pytest.approx(measured, rel=4 / np.sqrt(2 * 200))


def test_no_probabilities_are_refused():
    with pytest.raises(UsageError, match="sum to one"):
        inception_score(np.ones((100, 3)))
    with pytest.raises(UsageError, match="at least 2"):
        inception_score(np.full((19, 2), 0.5))
    with pytest.raises(UsageError, match="numbers in"):
        inception_score(np.full((100, 2), np.nan))


def test_modes_and_divergence_are_counted():
    found = mode_coverage(np.array([0, 0, 1, 3]), 5, np.array([0.5, 0.25, 0.1, 0.1, 0.05]))
    assert found.count == 3
    exact = 0.5 * np.log(0.5 / 0.5) + 0.25 * np.log(0.25 / 0.25) + 0.25 * np.log(0.25 / 0.1)
    assert found.kl.value == pytest.approx(exact)
    assert found.floor_kl == pytest.approx(4 / 8)


def test_collapse_costs_the_logarithm_of_what_is_left():
    found = mode_coverage(np.zeros(100, int), 10)
    assert (found.count, found.kl.value) == (1, pytest.approx(np.log(10)))
    # a class of one image in a hundred may not have been drawn
    assert 2.2 < found.kl.low < 2.28 and found.kl.high == pytest.approx(np.log(10))


def test_frequencies_are_shares_of_any_unit():
    labels = np.array([0, 1, 1, 2])
    assert mode_coverage(labels, 3, np.array([10, 30, 20])) == mode_coverage(
        labels, 3, np.array([1 / 6, 1 / 2, 1 / 3])
    )


def test_floor_is_what_a_perfect_sampler_scores():
    # stacked MNIST: 1000 modes, 26,000 samples, (1000 - 1) / 52,000 = 0.0192
    draws, found = np.random.default_rng(2), []
    for _ in range(20):
        found.append(mode_coverage(draws.integers(0, 1000, size=26_000), 1000))
    assert found[0].floor_kl == pytest.approx(0.0192, abs=5e-5)
    values = [entry.kl.value for entry in found]
    assert np.mean(values) == pytest.approx(found[0].floor_kl, rel=0.03)
    assert {entry.count for entry in found} == {1000}


def test_interval_holds_the_expectation():
    draws, target = np.random.default_rng(3), [0.3, 0.2, 0.1, 0.1, 0.1, 0.2]
    found = [mode_coverage(draws.choice(6, p=target, size=1000), 6).kl for _ in range(400)]
    mean = np.mean([entry.value for entry in found])
    hits = np.mean([entry.low <= mean <= entry.high for entry in found])
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400) < hits < 0.99


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="in 0..2"):
        mode_coverage(np.array([3]), 3)
    with pytest.raises(UsageError, match="in 0..2"):
        mode_coverage(np.array([], dtype=int), 3)
    with pytest.raises(UsageError, match="wanted 3 numbers"):
        mode_coverage(np.array([1]), 3, np.ones(2))
    with pytest.raises(UsageError, match="class 1 was generated and has frequency 0"):
        mode_coverage(np.array([1]), 3, np.array([1.0, 0.0, 1.0]))


def test_images_of_one_class_and_shares_that_fit_by_luck_have_an_interval():
    alone = mode_coverage(np.zeros(2, np.int64), 2).kl  # half of all pairs are of one class
    assert alone.low < 0.05 and alone.value == alone.high == pytest.approx(np.log(2))
    even = mode_coverage(np.arange(40) % 4, 4).kl
    expected = 3 / (2 * 40)  # of a perfect sampler
    assert even.value == even.low == 0 and even.high > expected
