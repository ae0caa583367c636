"""Frechet distance against closed forms, an independent formula and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95, Estimate
from undrift.metrics.frechet import Moments, frechet_distance, frechet_estimate


def gaussian(mean: np.ndarray, covariance: np.ndarray, count: int = 1000) -> Moments:
    """Moments that are exactly these."""
    return Moments(count, np.asarray(mean, float), np.asarray(covariance, float) * (count - 1))


def spread(seed: int, size: int) -> np.ndarray:
    """A random well-conditioned covariance."""
    factor = np.random.default_rng(seed).normal(size=(size, size))
    return factor @ factor.T / size + 0.1 * np.eye(size)


def test_shifted_unit_gaussians_are_as_far_as_their_means():
    size = 512
    first = gaussian(np.zeros(size), np.eye(size))
    assert frechet_distance(first, gaussian(np.ones(size), np.eye(size))) == pytest.approx(size)


def test_diagonal_covariances_have_a_closed_form():
    draws = np.random.default_rng(0)
    a, b, mean = draws.uniform(0, 4, 30), draws.uniform(0, 4, 30), draws.normal(size=30)
    a[:5] = 0.0  # a degenerate direction changes nothing
    exact = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(gaussian(np.zeros(30), np.diag(a)), gaussian(mean, np.diag(b)))
    assert found == pytest.approx(exact, rel=1e-12)


def test_general_covariances_agree_with_the_matrix_root():
    a, b = spread(1, 8), spread(2, 8)
    exact = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real
    assert frechet_distance(gaussian(np.zeros(8), a), gaussian(np.zeros(8), b)) == pytest.approx(
        exact, rel=1e-9
    )


def test_symmetric_and_of_second_order_in_the_unit():
    first, second = gaussian(np.zeros(6), spread(3, 6)), gaussian(np.ones(6), spread(4, 6))
    there, back = frechet_distance(first, second), frechet_distance(second, first)
    assert there == pytest.approx(back, rel=1e-10)
    larger = [gaussian(3 * m.mean, 9 * m.covariance) for m in (first, second)]
    assert frechet_distance(*larger) == pytest.approx(9 * there, rel=1e-10)


def test_fewer_images_than_features():
    draws = np.random.default_rng(5)
    x, y = draws.normal(size=(20, 64)), 0.5 + 1.3 * draws.normal(size=(33, 64))
    # the trace of the root is the nuclear norm of the product of the centred sets
    a = (x - x.mean(0)) / np.sqrt(19)
    b = (y - y.mean(0)) / np.sqrt(32)
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    exact = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(exact, rel=1e-9)
    assert frechet_distance(Moments.of(x), Moments.of(x)) == pytest.approx(0, abs=1e-9)
    estimate = frechet_estimate(x, Moments.of(y))
    assert estimate.value == pytest.approx(exact, rel=1e-9)
    assert estimate.low < estimate.value < estimate.high


def test_merged_in_pieces_is_the_same_as_at_once():
    features = 1000.0 + np.random.default_rng(6).normal(size=(501, 12))  # mean / deviation 1000
    whole = Moments.of(features)
    merged = Moments.of(features[:1])
    for start, stop in ((1, 3), (3, 120), (120, 499), (499, 501)):
        merged = merged.merge(Moments.of(features[start:stop]))
    assert merged.count == 501
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(merged.covariance, np.cov(features.T), atol=1e-10)
    np.testing.assert_allclose(merged.covariance, whole.covariance, atol=1e-10)


def test_bias_is_what_theory_says():
    # E FD = 2 d / n + d (d + 1) / (2 n) between two sets of n from one unit Gaussian
    draws, size, count = np.random.default_rng(7), 32, 800
    values = [
        frechet_distance(*(Moments.of(draws.normal(size=(count, size))) for _ in range(2)))
        for _ in range(12)
    ]
    predicted = 2 * size / count + size * (size + 1) / (2 * count)
    margin = 4 * np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - predicted) < margin + 0.02 * predicted
    assert margin < 0.1 * predicted


def standard_error(estimate: Estimate) -> float:
    return (estimate.high - estimate.value) / Z95


def test_standard_error_is_the_jackknifes():
    draws = np.random.default_rng(8)
    x = draws.normal(size=(150, 4)) @ np.diag([1.0, 0.6, 1.5, 1.0]) + [0.4, 0, 0, -0.3]
    reference = Moments.of(draws.normal(size=(400, 4)))
    left_out = [frechet_distance(Moments.of(np.delete(x, i, 0)), reference) for i in range(150)]
    jackknife = np.sqrt((149 / 150) * ((left_out - np.mean(left_out)) ** 2).sum())
    assert standard_error(frechet_estimate(x, reference)) == pytest.approx(jackknife, rel=0.05)


def test_standard_error_is_the_spread_over_redraws():
    draws = np.random.default_rng(9)
    reference = gaussian(np.array([0.5, 0, 0, 0, 0]), spread(9, 5))
    estimates = [frechet_estimate(draws.normal(size=(300, 5)), reference) for _ in range(250)]
    measured = np.std([entry.value for entry in estimates], ddof=1)
    claimed = np.mean([standard_error(entry) for entry in estimates])
    assert claimed == pytest.approx(measured, rel=4 / np.sqrt(2 * 250))
    assert 0 <= estimates[0].low < estimates[0].value < estimates[0].high


def test_what_cannot_be_compared_is_refused():
    good = Moments.of(np.zeros((3, 4)))
    with pytest.raises(UsageError, match="one extractor"):
        frechet_distance(good, Moments.of(np.zeros((3, 5))))
    with pytest.raises(UsageError, match="one extractor"):
        good.merge(Moments.of(np.zeros((3, 5))))
    with pytest.raises(UsageError, match="at least 2"):
        frechet_distance(good, Moments.of(np.zeros((1, 4))))
    with pytest.raises(UsageError, match="NaN"):
        Moments.of(np.full((3, 4), np.nan))
    with pytest.raises(UsageError, match="shape"):
        Moments.of(np.zeros(4))
