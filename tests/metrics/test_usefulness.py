"""Train on generated, test on real: good samples teach, wrong labels and missing classes do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from undrift.errors import UsageError
from undrift.metrics.features import fitting
from undrift.metrics.usefulness import train_on_generated


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], data.target.astype(np.int64)[order]


def test_real_images_teach_and_worse_ones_teach_less(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fitting, "_IMAGES_SEEN", 4_800)
    (images, labels), (test, truth) = (
        (part[:400] for part in digits),
        (part[900:] for part in digits),
    )

    def accuracy(rows: np.ndarray, wanted: np.ndarray) -> float:
        return train_on_generated(
            rows, wanted, test, truth, classes=10, cache_directory=tmp_path
        ).value

    assert accuracy(images, labels) > 0.9
    assert accuracy(images, (labels + 1) % 10) < 0.1
    five = labels < 5
    assert accuracy(images[five], labels[five]) == pytest.approx((truth < 5).mean(), abs=0.06)
    noise = np.random.default_rng(1).integers(0, 256, images.shape).astype(np.uint8)
    assert accuracy(noise, labels) < 0.4


def test_the_interval_is_over_the_real_images(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
):
    images, labels = digits
    found, wide = (
        train_on_generated(
            images[:100], labels[:100], images[100:stop], labels[100:stop], cache_directory=tmp_path
        )
        for stop in (1100, 150)
    )
    assert found.low < found.value < found.high
    assert wide.high - wide.low > 2 * (found.high - found.low)
    assert "1000 real images" in found.method


def test_what_cannot_be_tested_is_refused(digits: tuple[np.ndarray, np.ndarray]):
    images, labels = digits
    with pytest.raises(UsageError, match="differ in size"):
        train_on_generated(images[:9], labels[:9], images[:9, :7], labels[:9])
    with pytest.raises(UsageError, match="one label per image"):
        train_on_generated(images[:9], labels[:9], images[:9], labels[:8])
    with pytest.raises(UsageError, match="at least one"):
        train_on_generated(images[:9], labels[:9], images[:0], labels[:0])
