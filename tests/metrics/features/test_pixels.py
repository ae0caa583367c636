"""Pixel features: the principal components, their unit, their name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from undrift.errors import UsageError
from undrift.metrics.features.pixels import PixelFeatures


def drawn(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Images of five random patterns, each of its own weight, and some noise."""
    draws = np.random.default_rng(seed)
    patterns = np.random.default_rng(1).normal(size=(5, *shape))
    weights = draws.normal(size=(count, 5)) * [30, 20, 12, 7, 4]
    levels = 128 + np.tensordot(weights, patterns, 1) + draws.normal(size=(count, *shape)) * 2
    return levels.clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("count", [900, 40])  # by the covariance, and by the Gram matrix
def test_agrees_with_scikit_learn(count: int):
    images = drawn(count, (9, 7, 1))
    space = PixelFeatures.fit(images)
    dimension = min(63, count - 1)
    found = space.features(images)
    assert found.shape == (count, space.dimension) == (count, dimension)
    oracle = PCA(dimension, svd_solver="full").fit(images.reshape(count, -1).astype(float))
    wanted = oracle.transform(images.reshape(count, -1).astype(float))
    unit = np.sqrt(oracle.explained_variance_.mean())
    np.testing.assert_allclose(np.abs(found), np.abs(wanted) / unit, atol=1e-8)


def test_unit_variance_on_average_but_not_whitened():
    images = drawn(500, (16, 16, 3))
    found = PixelFeatures.fit(images).features(images)
    assert found.shape == (500, 64)
    variance = found.var(axis=0, ddof=1)
    assert variance.mean() == pytest.approx(1.0, rel=1e-10)
    assert (np.diff(variance) <= 1e-12).all()
    assert variance[0] > 20 * variance[10]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-10)


def test_large_images_are_averaged_down_first():
    images = drawn(30, (8, 8, 1))
    large = images.repeat(16, axis=1).repeat(16, axis=2)
    small = images.repeat(4, axis=1).repeat(4, axis=2)
    found, wanted = (PixelFeatures.fit(x).features(x) for x in (large, small))
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_the_name_is_that_of_the_images_and_nothing_else():
    images = drawn(40, (6, 6, 1))
    name = PixelFeatures.fit(images).name
    assert name == PixelFeatures.fit(images.copy(), seed=3).name  # all of them are used
    assert name.startswith("pixels@")
    other = images.copy()
    other[3, 2, 1] ^= 1
    assert PixelFeatures.fit(other).name != name


def test_only_directions_with_spread_are_kept():
    images = np.zeros((20, 4, 4, 1), np.uint8)
    images[:10, 0] = 50
    images[::2, 1] = 20
    space = PixelFeatures.fit(images)
    assert space.dimension == 2


def test_what_has_no_spread_or_another_shape_is_refused():
    images = drawn(8, (6, 6, 1))
    with pytest.raises(UsageError, match="at least 2"):
        PixelFeatures.fit(images[:1])
    with pytest.raises(UsageError, match="all the same"):
        PixelFeatures.fit(np.full((5, 4, 4, 1), 7, np.uint8))
    space = PixelFeatures.fit(images)
    with pytest.raises(UsageError, match="fitted on uint8"):
        space.features(images[:, :5])
    with pytest.raises(UsageError, match="fitted on uint8"):
        space.features(images.astype(np.float32))
