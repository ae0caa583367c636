"""What real images score stands beside a value only if it was measured at the same sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from undrift.metrics import Comparison, Images, floor_notes, measure, open_spaces
from undrift.metrics.catalogue import METRICS

NAMES = tuple("0123456789")
SIZED = ("fd", "kid", "mind", "texture_fd", "precision", "recall", "density", "coverage", "vendi")
"""Metrics whose expectation depends on the numbers of images."""
SHARES = ("label_accuracy", "memorization", "authenticity")
"""Means over single images: real ones may be as many as there are."""


@pytest.fixture(scope="module")
def digits() -> Images:
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    images = np.round(data.images * 255 / 16).astype(np.uint8)[order][..., None]
    return Images(images, data.target.astype(np.int64)[order])


@pytest.fixture(scope="module")
def compare(digits: Images) -> Any:
    """``n`` fresh real images as samples, against ``m`` of which ``own`` are training images."""
    _, classifier = open_spaces(digits.take(np.arange(599)))  # that of test_suite, cached

    def made(n: int, m: int, training: int, *, apart: bool, whole: bool = False) -> Comparison:
        fresh, seen = digits.take(np.arange(1200, 1200 + n)), digits.take(np.arange(training))
        rows = np.arange(600, 600 + m) if apart else np.arange(m)
        return Comparison(
            fresh,
            digits.take(rows),
            None if whole else seen,
            open_spaces(Images(seen.images), "pixels")[0],
            classifier,
            NAMES,
            0,
            "test" if apart else "all",
            own_rows=None if apart or whole else np.arange(m),
        )

    return made


SIZES = {
    "fewer samples": (150, 300, 600, True),
    "as many": (250, 250, 250, True),
    "more samples": (390, 120, 600, True),
    "fewer training images": (300, 300, 200, True),
    "few of both": (300, 120, 200, True),
    "undivided, enough left": (150, 250, 600, False),
    "undivided, exactly enough left": (350, 250, 600, False),
    "undivided, too few left": (150, 250, 300, False),
    "undivided, all of it": (150, 300, 300, False),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=list(SIZES))
def test_real_samples_score_as_real_images_or_there_is_no_number(
    compare: Any, sizes: tuple[int, int, int, bool]
):
    n, m, training, apart = sizes
    made = compare(n, m, training, apart=apart)
    found = measure(made, [*SIZED, *SHARES, "c_t", "modes", "inception_score", "class_fd"])
    left = training if apart else training - m
    for name, record in found.metrics.items():
        floor = record.floor
        assert (floor is None) == (record.floor_missing is not None), name
        if floor is None:
            assert f"real images: not measured: {record.floor_missing}" in record.protocol
            continue
        # the samples are real images: their interval holds the floor, itself a draw of that width
        reach = 1.5 * (record.high - record.low) / 2
        assert record.low - reach <= floor <= record.high + reach, (name, record)
    measured = {name for name, record in found.metrics.items() if record.floor is not None}
    assert ("fd" in measured) == (left >= n)
    assert ("coverage" in measured) == (left >= min(n, m))
    assert "c_t" not in measured
    assert ("label_accuracy" in measured) == apart  # else the classifier was trained on them
    if left >= n:
        assert (len(made.floor.samples), len(made.floor.reference)) == (n, m)
        assert set(SIZED) <= measured
    else:
        assert f"{left} real images beside the reference" in found.metrics["fd"].floor_missing


def test_a_reference_alone_is_not_halved(compare: Any):
    found = measure(compare(150, 300, 300, apart=False, whole=True), SIZED).metrics
    assert {record.floor for record in found.values()} == {None}
    assert "half" not in found["fd"].protocol
    (line,) = floor_notes({name: one.floor_missing for name, one in found.items()})
    assert line == (
        "real images: fd, kid, mind, texture_fd, precision, recall, density, coverage, vendi not "
        "measured: 0 real images beside the reference, 150 samples; a reference of at most 150 of "
        "them leaves enough"
    )


def test_a_smaller_reference_leaves_what_was_said_to_be_enough(compare: Any):
    found = measure(compare(150, 150, 300, apart=False), SIZED).metrics
    assert None not in {record.floor for record in found.values()}
    assert floor_notes({name: one.floor_missing for name, one in found.items()}) == []


def test_the_floor_by_class_has_as_many_of_each_class(compare: Any, digits: Images):
    made = compare(200, 300, 600, apart=True)
    there = made.floor_by_class.samples
    assert there.labels is not None
    assert np.bincount(there.labels).tolist() == np.bincount(made.samples.labels).tolist()
    skewed = Images(made.samples.images, np.zeros(200, np.int64))
    record = measure(made.beside(skewed), ["class_fd"]).metrics["class_fd"]
    assert record.floor is None
    assert "real images of 0 beside the reference, 200 samples" in record.floor_missing


def test_held_out_images_measured_by_each_other_score_as_new_images_do(compare: Any):
    # by their own threshold, of less than a hundred none would be near
    record = measure(compare(390, 60, 600, apart=True), ["memorization"]).metrics
    assert record["memorization"].floor == pytest.approx(1 / 60)


def test_floors_are_shared_by_sets_of_the_same_number(compare: Any):
    made = compare(150, 300, 600, apart=True)
    other = made.beside(made.samples.take(np.arange(100)))
    again = made.beside(made.samples)
    assert again.floor is made.floor
    assert len(other.floor.samples) == 100
    assert METRICS["fd"].floor_of(again) == METRICS["fd"].floor_of(made)
