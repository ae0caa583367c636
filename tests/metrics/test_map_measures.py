"""Whether images follow their maps: overlap of read masks, and consistency of derived maps."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.conditioning import MapSpec
from undrift.errors import UsageError
from undrift.metrics.map_consistency import derived_maps, map_consistency
from undrift.metrics.segmentation import fit_segmenter, mask_overlap, overlap

SIDE = 12


def blobs(count: int, seed: int = 0) -> np.ndarray:
    """Masks (N, 12, 12) of a square of 4 pixels in one of two classes."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    top, left, kind = random.integers(0, 8, (3, count, 1, 1))
    inside = (rows >= top) & (rows < top + 4) & (columns >= left) & (columns < left + 4)
    return np.where(inside, 1 + kind % 2, 0).astype(np.int64)


def drawn(masks: np.ndarray, seed: int = 1) -> np.ndarray:
    """Images in which class k is a grey of about 60 + 70 k."""
    noise = np.random.default_rng(seed).normal(0, 12, masks.shape)
    return (60 + 70 * masks + noise).clip(0, 255).astype(np.uint8)[..., None]


def test_overlap_is_counted_over_all_images_and_then_averaged_over_classes() -> None:
    given = np.array([[[0, 0, 1, 1]], [[0, 0, 0, 1]]])
    read = np.array([[[0, 1, 1, 1]], [[0, 0, 0, 0]]])
    found = mask_overlap(read, given, classes=3)
    # class 0: 4 of 6 pixels; class 1: 2 of 4; class 2 occurs nowhere
    assert found.classes[:2] == (4 / 6, 2 / 4) and np.isnan(found.classes[2])
    assert found.mean.value == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert found.mean.low <= found.mean.value <= found.mean.high and found.images == 2
    assert mask_overlap(given, given, classes=2).mean.value == 1


def test_the_interval_covers_the_overlap_of_many_images() -> None:
    """About 95 of 100 intervals from 60 images hold the value of 6,000."""
    random = np.random.default_rng(0)
    given = random.integers(2, size=(6000, 4, 4))
    wrong = random.random(given.shape) < random.uniform(0, 0.5, (6000, 1, 1))
    read = np.where(wrong, 1 - given, given)
    truth = mask_overlap(read, given, classes=2).mean.value
    inside = 0
    for part in range(100):
        rows = slice(60 * part, 60 * part + 60)
        mean = mask_overlap(read[rows], given[rows], classes=2, seed=part).mean
        inside += mean.low <= truth <= mean.high
    assert 87 <= inside <= 100


@pytest.mark.slow
def test_real_pairs_overlap_and_images_of_other_masks_do_not() -> None:
    masks = blobs(200)
    model = fit_segmenter(drawn(masks), masks, classes=3, steps=60)
    others = blobs(60, seed=5)
    real = overlap(model, drawn(others, seed=6), others)
    assert real.mean.value > 0.85
    shuffled = overlap(model, drawn(others, seed=6), np.roll(others, 1, axis=0))
    assert shuffled.mean.high < 0.6 < real.mean.low


def test_what_is_no_pair_is_refused() -> None:
    masks = blobs(4)
    for images, given in ((drawn(masks)[:3], masks), (drawn(masks)[:0], masks[:0])):
        with pytest.raises(UsageError, match="wanted pairs"):
            fit_segmenter(images, given, classes=3, steps=1)
    with pytest.raises(UsageError, match="classes 0 to 2, wanted 0 to 1"):
        fit_segmenter(drawn(masks), masks, classes=2, steps=1)


@pytest.mark.parametrize(
    "one",
    [
        MapSpec("edges", (1, SIDE, SIDE), "edges"),
        MapSpec("lowres", (1, SIDE, SIDE), "lowres", factor=4),
        MapSpec("masked", (1, SIDE, SIDE), "masked"),
    ],
)
def test_real_images_are_at_no_distance_of_their_own_maps(one: MapSpec) -> None:
    images = drawn(blobs(20))
    maps = derived_maps(one, images)
    if one.source == "masked":
        maps[:, :6] = -1
    found = map_consistency(one, images, maps)
    assert found.own.value == 0 and found.shuffled.low > 3 and found.images == 20
    worse = (images.astype(int) + 10).clip(0, 255).astype(np.uint8)
    if one.source != "edges":
        assert map_consistency(one, worse, maps).own.value == pytest.approx(10, abs=0.5)


def test_maps_are_shuffled_over_images_that_are_sorted_by_class() -> None:
    one = MapSpec("lowres", (1, SIDE, SIDE), "lowres", factor=4)
    images = np.repeat(np.array([20, 220], np.uint8), 30)[:, None, None, None]
    images = np.broadcast_to(images, (60, SIDE, SIDE, 1)).copy()
    found = map_consistency(one, images, derived_maps(one, images))
    assert found.own.value == 0 and found.shuffled.value > 60


def test_maps_of_their_own_cannot_be_derived() -> None:
    with pytest.raises(UsageError, match="measure overlap"):
        map_consistency(MapSpec("mask", (1, 2, 2)), np.zeros((2, 2, 2, 1), np.uint8), np.zeros(1))
