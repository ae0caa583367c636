"""Nearest training images against brute force, and the spacing of the training set around."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.features.resizing import shrink, shrunk_size
from undrift.metrics.nearest import nearest_features, nearest_training


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("chunk", [7, 8192])
def test_agrees_with_brute_force(chunk: int):
    images, training = noise(0, 15, 6, 5, 3), noise(1, 40, 6, 5, 3)
    difference = images[:, None].astype(float) - training[None].astype(float)
    distances = np.sqrt((difference**2).mean(axis=(2, 3, 4)))
    found = nearest_training(images, training, chunk=chunk)
    np.testing.assert_array_equal(found.indices, distances.argmin(axis=1))
    np.testing.assert_allclose(found.distances, distances.min(axis=1), rtol=1e-6)


def test_an_exact_copy_is_at_zero_and_the_unit_is_levels():
    training = noise(2, 30, 8, 8, 1)
    training.setflags(write=False)  # as a memory-mapped array is
    images = training[[4, 29, 11]].copy()
    images[2] = np.where(images[2] < 128, images[2] + 3, images[2] - 3)
    found = nearest_training(images, training, chunk=8)
    assert found.indices.tolist() == [4, 29, 11]
    assert found.distances.tolist() == pytest.approx([0.0, 0.0, 3.0], abs=1e-12)


def test_large_images_are_compared_small():
    training = noise(3, 20, 96, 64, 3)
    images = np.roll(training[:2], 0, axis=1)
    images[0, 0, 0] = 255 - images[0, 0, 0]  # one pixel in 6144 hardly counts
    found = nearest_training(images, training)
    assert found.indices.tolist() == [0, 1]
    assert found.distances[0] < 3
    assert found.distances[1] == 0


@pytest.mark.parametrize("chunk", [3, 16, 8192])
def test_spacing_is_the_mean_of_the_next_nine(chunk: int):
    images, training = noise(5, 12, 6, 5, 1), noise(6, 40, 6, 5, 1)
    images[0] = training[7]
    difference = images[:, None].astype(float) - training[None].astype(float)
    distances = np.sort(np.sqrt((difference**2).mean(axis=(2, 3, 4))), axis=1)
    found = nearest_training(images, training, chunk=chunk)
    np.testing.assert_allclose(found.spacing, distances[:, 1:10].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.relative, distances[:, 0] / found.spacing, rtol=1e-5)
    assert found.relative[0] == 0
    few = nearest_training(images, training[:3], chunk=chunk)
    near = np.sort(np.sqrt((difference[:, :3] ** 2).mean(axis=(2, 3, 4))), axis=1)
    np.testing.assert_allclose(few.spacing, near[:, 1:].mean(axis=1), rtol=1e-5)


def test_copies_of_what_repeats_are_at_zero_and_one_image_has_no_spacing():
    training = np.repeat(noise(7, 1, 6, 6, 1), 30, axis=0)
    found = nearest_training(training[:2], training)
    assert found.spacing.tolist() == [0, 0]
    assert found.relative.tolist() == [0, 0]
    alone = nearest_training(training[:2], training[:1])
    assert alone.spacing is None
    with pytest.raises(UsageError, match="spacing"):
        _ = alone.relative


@pytest.mark.parametrize("chunk", [7, 8192])
def test_own_rows_are_left_out(chunk: int):
    training = noise(8, 25, 5, 5, 1)
    training[9] = training[20]  # another copy is a neighbour all the same
    rows = np.array([3, 9, 20, 24])
    found = nearest_training(training[rows], training, chunk, own_rows=rows)
    difference = training[rows][:, None].astype(float) - training[None].astype(float)
    distances = np.sqrt((difference**2).mean(axis=(2, 3, 4)))
    distances[np.arange(4), rows] = np.inf
    np.testing.assert_array_equal(found.indices, distances.argmin(axis=1))
    np.testing.assert_allclose(found.distances, distances.min(axis=1), rtol=1e-6)
    assert found.distances[1] == found.distances[2] == 0


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_features_agree_with_brute_force(offset: float):
    draws = np.random.default_rng(9)
    features, training = (offset + draws.normal(size=(n, 20)) for n in (15, 50))
    features[4] = training[31]
    distances = np.sqrt(((features[:, None] - training[None]) ** 2).mean(axis=2))
    found = nearest_features(features, training, chunk=16)
    np.testing.assert_array_equal(found.indices, distances.argmin(axis=1))
    np.testing.assert_allclose(found.distances, distances.min(axis=1), rtol=1e-5)
    assert found.distances[4] == 0


def test_shrinking_averages_areas():
    images = np.arange(2 * 64 * 32, dtype=np.uint32).reshape(2, 64, 32, 1) % 251
    small = shrink(images.astype(np.uint8), 32)
    assert small.shape == (2, 1, 32, 16)
    blocks = images.reshape(2, 32, 2, 16, 2).mean(axis=(2, 4))
    assert np.abs(small[:, 0].numpy() - blocks).max() <= 0.5
    assert shrunk_size(8, 8, 32) == (8, 8)
    assert shrunk_size(400, 100, 64) == (64, 16)
    assert shrunk_size(1000, 1, 64) == (64, 1)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UsageError, match="differ in size"):
        nearest_training(noise(0, 2, 8, 8, 1), noise(0, 2, 8, 9, 1))
    with pytest.raises(UsageError, match="at least one"):
        nearest_training(noise(0, 2, 8, 8, 1), noise(0, 0, 8, 8, 1))
    with pytest.raises(UsageError, match="own rows"):
        nearest_training(noise(0, 2, 8, 8, 1), noise(0, 3, 8, 8, 1), own_rows=np.array([1]))
    with pytest.raises(UsageError, match="one extractor"):
        nearest_features(np.zeros((3, 4)), np.zeros((3, 5)))
