"""Nearest training images against brute force, and what counts as a copy."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics import Neighbours, copies, nearest_training
from undrift.metrics.resizing import shrink, shrunk_size


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


def test_new_images_score_one_percent_and_replayed_ones_all():
    draws = np.random.default_rng(4)
    real = np.clip(draws.normal(128, 40, (900, 4, 4, 1)), 0, 255).astype(np.uint8)
    training, held_out, fresh = real[:300], real[300:600], real[600:]
    floor = nearest_training(held_out, training)
    new = copies(nearest_training(fresh, training), floor)
    assert new.share.value < 0.01 + 4 * np.sqrt(0.01 * 0.99 / 300) + 0.01
    assert new.held_out.value == pytest.approx(0.01, abs=0.004)
    near = np.clip(training + draws.normal(0, 2, training.shape), 0, 255).astype(np.uint8)
    assert copies(nearest_training(near, training), floor).share.value == 1.0


def test_as_near_as_the_threshold_is_no_copy():
    held_out = Neighbours(np.zeros(3, int), np.array([5.0, 5.0, 5.0]))
    samples = Neighbours(np.zeros(4, int), np.array([4.999, 5.0, 6.0, 0.0]))
    found = copies(samples, held_out)
    assert found.threshold == 5.0
    assert (found.share.hits, found.share.count, found.held_out.hits) == (2, 4, 0)


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
