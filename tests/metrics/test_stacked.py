"""Stacked digits as a classifier reads them: the perfect sampler's floor, and a collapsed set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.real import real

from undrift.data import ImageSet, load
from undrift.data.stacking import stacked
from undrift.errors import UsageError
from undrift.metrics import Images
from undrift.metrics.features import fitting
from undrift.metrics.stacked import DigitReader


def as_images(split: ImageSet) -> Images:
    return Images(split.images, split.labels)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits")


@pytest.fixture(scope="module")
def reader(digits: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> DigitReader:
    known, held_out = as_images(digits.split("train")), as_images(digits.split("test"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_IMAGES_SEEN", 8_000)  # a second of training
        return DigitReader.fit(known, held_out, cache_directory=tmp_path_factory.mktemp("cache"))


def test_triples_are_read_channel_by_channel(digits: ImageSet, reader: DigitReader) -> None:
    held_out = digits.split("test")
    sure = np.flatnonzero(reader.classifier.predict(held_out.images) == held_out.labels)
    rows = np.random.default_rng(0).choice(sure, (200, 3))
    images = np.stack([held_out.images[rows[:, c], ..., 0] for c in range(3)], axis=-1)
    assert held_out.labels is not None
    wanted = held_out.labels[rows] @ [100, 10, 1]
    np.testing.assert_array_equal(reader.read(images), wanted)
    assert len(set(wanted.tolist())) > 150


def misreading(reader: DigitReader, held_out: ImageSet) -> float:
    """KL from uniform of what ``reader`` takes endless stacks of ``held_out`` for.

    The channels are drawn alone and each class alike frequent, so it is three times that of one.
    """
    assert held_out.labels is not None
    predicted = reader.classifier.predict(held_out.images)
    # a row per class: how its images are read
    read_as = np.zeros((10, 10))
    np.add.at(read_as, (held_out.labels, predicted), 1)
    shares = (read_as / read_as.sum(axis=1, keepdims=True)).mean(axis=0)
    return 3 * float(np.sum(shares * np.log(10 * shares)))


def test_held_out_digits_score_the_floor_and_what_is_misread(
    digits: ImageSet, reader: DigitReader
) -> None:
    held_out = digits.split("test")
    found = reader.coverage(stacked(held_out, 10_000).images)
    assert found.modes == 1000 and found.floor_kl == pytest.approx(999 / 20_000)
    assert reader.accuracy.value == found.accuracy.value > 0.93
    assert found.found > 990
    # how well a reader of 400 digits reads is up to the machine that trained it; the rest is not
    assert found.kl.low < found.floor_kl + misreading(reader, held_out) < found.kl.high


def test_a_collapsed_set_scores_its_triples(digits: ImageSet, reader: DigitReader) -> None:
    few = stacked(digits.split("test"), 40).images
    shown = np.unique(reader.read(few))
    found = reader.coverage(np.repeat(few, 50, axis=0))
    assert found.found == len(shown) < 41
    assert found.kl.value > np.log(1000 / 40) - 1e-9


def test_what_is_no_stack_is_refused(digits: ImageSet, reader: DigitReader) -> None:
    with pytest.raises(UsageError, match=r"wanted \(n, H, W, 3\)"):
        reader.read(digits.images[:4])
    with pytest.raises(UsageError, match="fitted on"):
        reader.read(np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(UsageError, match="labels of both"):
        DigitReader.fit(as_images(digits), Images(digits.images))


@pytest.mark.slow
def test_stacked_mnist_of_held_out_images_scores_the_floor_and_what_is_misread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_IMAGES_SEEN", 10_000)
    data = load(real("mnist"), holdout=0.0)
    train, test = data.split("train"), data.split("test")
    rows = np.arange(1_000)
    assert train.labels is not None
    known = Images(train.take(rows), train.labels[rows])
    reader = DigitReader.fit(
        known, as_images(test).draw(1_000, 0, "held out"), cache_directory=tmp_path
    )
    assert reader.accuracy.value > 0.93
    found = reader.coverage(stacked(test, 10_000).images)
    assert found.found > 990
    assert found.kl.low < found.floor_kl + misreading(reader, test) < found.kl.high
