"""The real data sets, as their README describes them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.data.real import real

from undrift.data import load, short_name


def test_fashion_mnist() -> None:
    found = load(real("fashion_mnist"))
    assert found.images.shape == (70_000, 28, 28, 1)
    assert found.report.splits == {"train": 57_000, "validation": 3_000, "test": 10_000}
    assert set(found.class_counts().values()) == {7_000}
    assert found.splits["test"].tolist() == list(range(60_000, 70_000))
    # The README's mean and deviation of the 60,000, over 255.
    train = found.images[:60_000]
    assert train.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert train.std() / 255 == pytest.approx(0.3530, abs=1e-4)


def test_clothing_root_has_its_own_splits() -> None:
    found = load(real("clothing"))
    assert found.images.shape == (3_781, 96, 96, 3)
    assert found.report.splits == {"train": 3_068, "validation": 341, "test": 372}
    counts = found.split("train").class_counts()
    assert counts["t-shirt"] == 795 and counts["skirt"] == 112 and len(counts) == 10
    assert found.report.duplicates.extra == 0


def test_clothing_test_alone_is_split_by_content() -> None:
    found = load(real("clothing/test"))
    assert len(found.class_names) == 10
    assert short_name(str(real("clothing/train"))) == "clothing-train" and found.name == "test"
    assert len(found.splits["validation"]) + len(found.splits["test"]) == round(0.05 * 372)
    for i in (0, 100, 300):
        with Image.open(real("clothing/test") / found.names[i]) as image:
            assert np.array_equal(found.images[i], np.asarray(image))


def test_emoji_keep_their_alpha_and_captions() -> None:
    found = load(real("emoji"))
    assert found.images.shape == (3_676, 72, 72, 4)
    assert found.report.count - found.report.duplicates.extra == 3_659
    assert found.captions is not None and len(set(found.captions)) == 3_676
    assert found.captions[0] == ("an emoji of keycap #",)
    assert found.report.duplicates.straddling == 0
    assert found.labels is None


def test_nuclei_metadata_leaves_the_masks_alone() -> None:
    found = load(real("nuclei"))
    assert found.images.shape == (664, 128, 128, 3)
    assert found.report.splits["test"] == 64
    assert not any("mask" in name for name in found.names)
    flat = load(real("nuclei/train/images"))
    assert len(flat) == 600 and flat.labels is None and flat.captions is None


def test_cifar() -> None:
    path = real("cifar10/cifar10_lossless_first4000.npz")
    found = load(path)
    with np.load(path) as archive:
        assert np.array_equal(found.images, archive["images"])
        assert found.labels is not None and np.array_equal(found.labels, archive["labels"])
    assert list(found.class_counts().values())[:3] == [396, 366, 420]
