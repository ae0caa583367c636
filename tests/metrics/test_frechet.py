"""Frechet distance against closed forms, an independent formula and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95, Estimate
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate, second_order
from undrift.metrics.frechet_estimate import spread as spread_of
from undrift.metrics.moments import Moments
from undrift.metrics.symmetric import factor, sandwich, triangular_sandwich


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
    for first, second in ((x, y), (x, Moments.of(y)), (Moments.of(x), y)):
        assert frechet_distance(first, second) == pytest.approx(exact, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    estimate = frechet_estimate(x, Moments.of(y))
    assert estimate.value == pytest.approx(exact, rel=1e-9)
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("block", [3, 4, 7, 100])
def test_zeros_left_out_change_nothing(block: int):
    a, half = spread(1, 7), factor(spread(2, 7))
    np.testing.assert_allclose(
        np.tril(triangular_sandwich(half, a, block)), np.tril(sandwich(half, a)), rtol=1e-12
    )


@pytest.mark.parametrize("count", [30, 8, 5])
def test_estimate_and_distance_are_the_same_number(count: int):
    draws = np.random.default_rng(count)
    x, y = draws.normal(size=(count, 8)), draws.normal(size=(50, 8))
    x[:, 7] = 3.0  # a constant feature
    found = frechet_estimate(x, Moments.of(y))
    assert found.value == pytest.approx(frechet_distance(Moments.of(x), Moments.of(y)), rel=1e-9)
    assert 0 <= found.low < found.value < found.high


def test_collapsed_samples_have_a_distance():
    reference = gaussian(np.zeros(4), np.diag([1.0, 2.0, 3.0, 4.0]))
    found = frechet_estimate(np.ones((50, 4)), reference)
    assert found.value == pytest.approx(4 + 10)


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


def test_a_stream_of_blocks_is_the_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("undrift.metrics.moments._BLOCK", 64)
    features = 1000.0 + np.random.default_rng(16).normal(size=(333, 5)).astype(np.float32)
    found = Moments.of(features)
    assert found.count == 333
    np.testing.assert_allclose(found.mean, features.astype(np.float64).mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(float).T), atol=1e-10)
    features[300, 2] = np.inf
    with pytest.raises(UsageError, match="infinity"):
        Moments.of(features)


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
    return (estimate.high - estimate.low) / (2 * Z95)


def test_standard_error_is_the_jackknifes():
    draws = np.random.default_rng(8)
    x = draws.normal(size=(150, 4)) @ np.diag([1.0, 0.6, 1.5, 1.0]) + [0.4, 0, 0, -0.3]
    reference = Moments.of(draws.normal(size=(400, 4)))
    left_out = [frechet_distance(Moments.of(np.delete(x, i, 0)), reference) for i in range(150)]
    jackknife = np.sqrt((149 / 150) * ((left_out - np.mean(left_out)) ** 2).sum())
    assert standard_error(frechet_estimate(x, reference)) == pytest.approx(jackknife, rel=0.05)


def test_standard_error_of_few_images_is_the_infinitesimal_jackknifes():
    draws, count = np.random.default_rng(14), 10
    x = draws.normal(size=(count, 16))
    reference = gaussian(x.mean(0), spread(15, 16))

    def weighed(share: np.ndarray) -> float:
        centred = x - share @ x
        covariance = (centred.T * share) @ centred * count / (count - 1)
        return frechet_distance(gaussian(share @ x, covariance), reference)

    step, even = 1e-4, np.full(count, 1 / count)
    towards = [step * (np.eye(count)[i] - even) for i in range(count)]
    psi = [(weighed(even + way) - weighed(even - way)) / (2 * step) for way in towards]
    # a weight counts n / (n - 1) times in a covariance that is divided by n - 1
    wanted = np.std(psi, ddof=1) / np.sqrt(count) * (count - 1) / count
    found = np.sqrt(spread_of(x, reference).linear / count)
    assert found == pytest.approx(wanted, rel=1e-3)


def test_second_order_variance_is_what_a_perfect_model_has():
    # sd of FD over redraws from the reference itself: the first derivative alone is sqrt(2) over
    draws, size, count = np.random.default_rng(10), 16, 100
    variances = np.linspace(0.1, 2, size)
    reference = gaussian(np.zeros(size), np.diag(variances))
    found = [
        frechet_estimate(draws.normal(size=(count, size)) * np.sqrt(variances), reference)
        for _ in range(200)
    ]
    measured = np.std([entry.value for entry in found], ddof=1)
    # downwards, where targets would be better than perfect
    claimed = np.mean([(entry.value - entry.low) / Z95 for entry in found])
    assert claimed == pytest.approx(measured, rel=4 / np.sqrt(2 * 200))


def test_influence_and_second_order_are_the_derivatives():
    # FD of a sample whose rows weigh 1 + step w: its slope and curvature at step 0
    draws = np.random.default_rng(11)
    x, reference = draws.normal(size=(40, 3)), gaussian(np.ones(3), spread(12, 3))
    weight = draws.uniform(-1, 1, size=40)
    weight -= weight.mean()

    def along(step: float) -> float:
        share = (1 + step * weight) / 40
        mean = share @ x
        return frechet_distance(
            gaussian(mean, (x - mean).T @ ((x - mean) * share[:, None])), reference
        )

    centred, half = x - x.mean(0), np.linalg.cholesky(reference.covariance)
    mu, vectors = np.linalg.eigh(half.T @ (centred.T @ centred / 40) @ half)
    z = centred @ half @ vectors
    i, j = np.divmod(np.arange(1600), 40)
    table = second_order(z[i], z[j], mu).reshape(40, 40)
    curvature = (along(1e-3) + along(-1e-3) - 2 * along(0)) / 1e-6
    assert curvature == pytest.approx(2 * weight @ table @ weight / 40**2, rel=1e-4)
    psi = 2 * centred @ (x.mean(0) - reference.mean) + (centred**2).sum(1) - z**2 @ mu**-0.5
    slope = (along(1e-3) - along(-1e-3)) / 2e-3
    assert slope == pytest.approx(weight @ psi / 40, rel=1e-4)


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
