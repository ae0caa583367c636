"""Bounds hold for new images as often as promised, however poor the guess."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.conformal import (
    conformal_scale,
    fewest_images,
    mean_of_each,
    moments,
    scale_of,
    widths_of,
)


def missed(coverage: float, n: int, seed: int, skill: float) -> float:
    """Share of a new image's pixels outside of the bounds; images differ in difficulty."""
    draws = np.random.default_rng(seed)
    hard = draws.gamma(2.0, 1.0, (n + 1, 1))
    errors = np.abs(draws.normal(0, 1, (n + 1, 60))) * hard
    widths = hard**skill * draws.uniform(0.5, 1.5, (n + 1, 60))
    scale = conformal_scale(errors[:n], widths[:n], coverage)
    return float((errors[n] > scale * widths[n]).mean())


@pytest.mark.parametrize("skill", [1.0, 0.0, -0.5])
@pytest.mark.parametrize(("coverage", "n"), [(0.9, 9), (0.9, 30), (0.5, 5)])
def test_new_images_are_covered_as_promised(coverage: float, n: int, skill: float) -> None:
    shares = np.array([missed(coverage, n, seed, skill) for seed in range(1500)])
    error = shares.std() / len(shares) ** 0.5
    assert shares.mean() < 1 - coverage + 4 * error
    assert shares.mean() > 1 - coverage - 1 / n - 4 * error  # no wider than need be


def test_the_scale_is_the_smallest_that_will_do() -> None:
    errors, widths = np.arange(1.0, 11.0)[:, None], np.full((10, 1), 2.0)
    assert conformal_scale(errors, widths, 0.9) == 5.0  # (0 missed + 1) / 11 <= 0.1
    assert conformal_scale(errors, widths, 0.8) == 4.5  # 1 missed: 2 / 11 <= 0.2
    assert conformal_scale(errors, widths, 0.5) == 3.0  # 4 missed: 5 / 11 <= 0.5


def test_images_count_alike_however_many_of_their_pixels_count() -> None:
    """Holes of several sizes: known pixels have no error, and no say."""
    errors, where = np.zeros((10, 12)), np.zeros((10, 12), bool)
    where[:9, 0] = where[9, 2:] = True
    errors[:9, 0], errors[9, 2:] = np.arange(1.0, 10.0), 100.0
    ones = np.ones_like(errors)
    assert conformal_scale(errors, ones, 0.9, where) == 100.0
    assert conformal_scale(errors, ones, 0.8, where) == 9.0  # the last image is missed: 2 / 11
    assert conformal_scale(errors, ones, 0.7, where) == 8.0  # and that of 9: 3 / 11
    np.testing.assert_allclose(mean_of_each(errors, where), [*np.arange(1.0, 10.0), 100.0])
    np.testing.assert_allclose(mean_of_each(errors), errors.mean(1))
    where[3] = False
    with pytest.raises(UsageError, match="1 of 10 images have no pixel that counts"):
        conformal_scale(errors, ones, 0.5, where)


def test_the_scale_of_results_is_that_of_their_mean_and_deviation() -> None:
    draws = np.random.default_rng(0)
    truth, each = draws.normal(0, 1, (12, 5)), draws.normal(0, 1, (12, 4, 5))
    mean, std = moments(each)
    np.testing.assert_allclose(std, each.std(1, ddof=1))
    wanted = conformal_scale(np.abs(truth - each.mean(1)), widths_of(std), 0.8)
    assert scale_of(truth, each, 0.8) == wanted and (widths_of(std) > std).all()


def test_too_few_images_and_shares_that_are_none() -> None:
    assert [fewest_images(c) for c in (0.5, 0.9, 0.95)] == [1, 9, 19]
    with pytest.raises(UsageError, match="8 calibration images, wanted at least 9"):
        conformal_scale(np.ones((8, 3)), np.ones((8, 3)), 0.9)
    for coverage in (0.0, 1.0, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            fewest_images(coverage)
