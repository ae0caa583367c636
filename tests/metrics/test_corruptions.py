"""Corruptions of real images: each destroys one property and leaves the named others alone."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.metrics import Images
from undrift.metrics.corruptions import NOISE, corrupted, corruptions_of, visible


def pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Random images; with 2 or 4 channels, the left quarter is transparent with stray colours."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    if shape[2] in (2, 4):
        images[..., -1] = 255
        images[:, :, : shape[1] // 4, -1] = 0
    return images


def apply(name: str, images: np.ndarray, seed: int = 0) -> np.ndarray:
    (found,) = (one for one in corruptions_of(images) if one.name == name)
    return corrupted(Images(images), found, seed).images


EVERY = ["shuffled pixels", "blur", "shuffled blocks", *NOISE, "colour shift", "copies"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_there_is_every_corruption_that_can_change_the_images(channels: int):
    names = [one.name for one in corruptions_of(pictures(2, (8, 8, channels)))]
    assert names == [name for name in EVERY if channels > 2 or name != "colour shift"]
    single = [one.name for one in corruptions_of(pictures(2, (1, 1, 1)))]
    assert single == [*NOISE, "copies"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [3, 4])
def test_each_changes_the_images_and_repeats(name: str, channels: int):
    images = pictures(20, (12, 12, channels))
    made = apply(name, images)
    assert made.shape == images.shape
    assert made.dtype == np.uint8
    assert (made != images).mean() > 0.2
    assert (made == apply(name, images)).all()
    if name not in ("blur", "colour shift"):  # these use no random numbers
        assert (made != apply(name, images, seed=1)).any()


@pytest.mark.parametrize("name", ["shuffled pixels", "blur", *NOISE])
def test_alpha_and_what_it_hides_stay(name: str):
    images = pictures(6, (12, 12, 4))
    made = apply(name, images)
    assert (made[..., -1] == images[..., -1]).all()
    if name != "blur":
        assert (made[~visible(images)] == images[~visible(images)]).all()


def test_shuffled_pixels_are_the_same_pixels_elsewhere():
    images = pictures(4, (9, 7, 4))
    made = apply("shuffled pixels", images)
    for one, other, mask in zip(images, made, visible(images), strict=True):
        before, after = (np.unique(x[mask], axis=0, return_counts=True) for x in (one, other))
        assert (before[0] == after[0]).all()
        assert (before[1] == after[1]).all()


def test_shuffled_blocks_keep_every_block_whole():
    images = pictures(3, (10, 13, 3))
    made = apply("shuffled blocks", images)
    assert (made[:, 8:] == images[:, 8:]).all()  # what fills no block of 4 x 4
    assert (made[:, :, 12:] == images[:, :, 12:]).all()

    def blocks(image: np.ndarray) -> list[bytes]:
        return sorted(image[i : i + 4, j : j + 4].tobytes() for i in (0, 4) for j in (0, 4, 8))

    for one, other in zip(images, made, strict=True):
        assert blocks(one) == blocks(other)


@pytest.mark.parametrize(("name", "scale"), NOISE.items())
def test_noise_has_its_size(name: str, scale: float):
    images = np.random.default_rng(0).normal(128, 12, (50, 16, 16, 1)).round().astype(np.uint8)
    added = apply(name, images).astype(float) - images
    expected = np.hypot(scale * images.std(), np.sqrt(1 / 12))  # and that of rounding
    assert added.std() == pytest.approx(expected, rel=0.05)
    assert abs(added.mean()) < 0.2


def test_a_blur_does_not_mix_in_what_transparency_hides():
    images = np.zeros((1, 8, 8, 4), np.uint8)
    images[..., :3] = 13  # arbitrary colour under transparent pixels
    images[:, :, 4:, :3], images[:, :, 4:, 3] = 200, 255
    made = apply("blur", images)
    assert (made[:, :, 4:, :3] == 200).all()
    plain = apply("blur", images[..., :3])  # without alpha the edge is blurred
    assert (plain[:, :, 4, 0] < 180).all()


def test_a_colour_shift_leaves_greys_and_moves_colours():
    grey = np.full((1, 4, 4, 3), 77, np.uint8)
    (shift,) = (one for one in corruptions_of(grey) if one.name == "colour shift")
    assert (corrupted(Images(grey), shift, 0).images == 77).all()
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 240
    assert corrupted(Images(red), shift, 0).images[0, 0, 0].tolist() == [160, 80, 0]


def test_copies_are_a_tenth_of_the_images_ten_times():
    images = pictures(50, (4, 4, 1))
    made = apply("copies", images)
    found, counts = np.unique(made.reshape(50, -1), axis=0, return_counts=True)
    assert len(found) == 5
    assert (counts == 10).all()
