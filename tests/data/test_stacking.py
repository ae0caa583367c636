"""Stacked digits: what is in the channels, what it is called, and where it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from undrift.data import ImageSet, load
from undrift.data import stacking as module
from undrift.data.stacking import stacked, write_stacked
from undrift.errors import UsageError


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").split("train")


def test_each_channel_is_a_digit_of_the_class_that_the_label_says(digits: ImageSet) -> None:
    made = stacked(digits, 500)
    assert made.images.shape == (500, 8, 8, 3) and made.images.dtype == np.uint8
    assert made.labels is not None and digits.labels is not None
    pairs = zip(digits.images, digits.labels, strict=True)
    known = {image.tobytes(): label for image, label in pairs}
    for image, label in zip(made.images, made.labels, strict=True):
        shown = [known[np.ascontiguousarray(image[..., c]).tobytes()] for c in range(3)]
        assert label == 100 * shown[0] + 10 * shown[1] + shown[2]
        assert made.class_names[label] == "-".join(map(str, shown))
    assert len(made.class_names) == 1000


def test_all_triples_are_alike_frequent_and_all_digits_of_a_class_are_used(
    digits: ImageSet,
) -> None:
    # one image of class 0, many of the others: classes are drawn first, images within them
    assert digits.labels is not None
    first = np.flatnonzero(digits.labels == 0)
    kept = np.setdiff1d(np.arange(len(digits)), first[1:])
    few = replace(digits, rows=digits.rows[kept], labels=digits.labels[kept])
    n = 20_000
    made = stacked(few, n)
    assert made.labels is not None
    for channel in range(3):
        shown = made.labels // 10 ** (2 - channel) % 10
        counts = np.bincount(shown, minlength=10)
        assert np.abs(counts - n / 10).max() < 4 * np.sqrt(n * 0.09)
    red, green = made.labels // 100, made.labels // 10 % 10
    assert abs(np.corrcoef(red, green)[0, 1]) < 4 / np.sqrt(n)
    ones = {image.tobytes() for image in np.ascontiguousarray(made.images[red == 1][..., 0])}
    assert len(ones) == len({x.tobytes() for x in digits.images[digits.labels == 1]})


def test_an_image_depends_on_seed_and_number_alone(
    digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stacked(digits, module.CHUNK + 7, seed=3)
    part = stacked(digits, module.CHUNK - 1, seed=3)
    np.testing.assert_array_equal(whole.images[: module.CHUNK - 1], part.images)
    last = stacked(digits, module.CHUNK + 1, seed=3)
    np.testing.assert_array_equal(whole.images[: module.CHUNK + 1], last.images)
    assert (whole.images[:7] != whole.images[module.CHUNK :]).any()
    assert (stacked(digits, 20, seed=4).labels != part.labels[:20]).any()


def test_the_file_is_what_data_reads(digits: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "stacked.npz"
    count = module.CHUNK + 10
    write_stacked(path, digits, count, seed=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stacked.npz"]
    made, read = stacked(digits, count, seed=1), load(path, holdout=0.0)
    np.testing.assert_array_equal(read.images, made.images)
    np.testing.assert_array_equal(read.labels, made.labels)
    assert read.class_names == made.class_names
    before = path.read_bytes()
    write_stacked(path, digits, count, seed=1)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_finished_leaves_nothing(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stacked.npz"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_array", full)
    with pytest.raises(UsageError, match=r"stacked\.npz cannot be written: No space left"):
        write_stacked(path, digits, 10)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stacked.npz"]
    assert path.read_bytes() == b"old"
    with pytest.raises(UsageError, match="cannot be written"):
        write_stacked(tmp_path / "nowhere" / "x.npz", digits, 10)


def test_what_cannot_be_stacked_is_refused(digits: ImageSet) -> None:
    with pytest.raises(UsageError, match="grey images of two classes"):
        stacked(replace(digits, labels=None), 5)
    with pytest.raises(UsageError, match="grey images of two classes"):
        stacked(replace(digits, store=np.repeat(digits.store, 3, axis=-1)), 5)
    with pytest.raises(UsageError, match="at least 1"):
        stacked(digits, 0)
    with pytest.raises(UsageError, match="class '10' has no images"):
        stacked(replace(digits, class_names=(*digits.class_names, "10")), 5)
