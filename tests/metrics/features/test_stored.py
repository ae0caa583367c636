"""Features on disk: the same numbers, never those of other images or another space."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from undrift.metrics.features.stored import cached_features


class Counted:
    """A space that counts how many images it was asked for."""

    description = "sums of rows"
    dimension = 4
    standard_fid = False

    def __init__(self, name: str = "sums@12345678") -> None:
        self.name = name
        self.asked = 0

    def features(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        return images.sum(axis=(2, 3), dtype=np.float64) / 7


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)


def test_computed_once_and_the_same_to_the_bit(
    images: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    space = Counted()
    with caplog.at_level(logging.WARNING, logger="undrift"):
        first = cached_features(space, images, directory=tmp_path, key="digits-test")
        again = cached_features(space, images, directory=tmp_path, key="digits-test")
    assert space.asked == 6
    assert again.dtype == first.dtype
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, Counted().features(images))
    assert not caplog.records
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_another_space_or_key_has_its_own_entry(images: np.ndarray, tmp_path: Path):
    folder = tmp_path / "cache"
    for space, key in [("a@1", "x"), ("b@1", "x"), ("a@1", "y"), ("../a/@1", "/../z")]:
        counted = Counted(space)
        cached_features(counted, images, directory=folder, key=key)
        assert counted.asked == 6
    assert len(list(folder.glob("*.json"))) == 4
    assert list(tmp_path.iterdir()) == [folder]  # no name leads out of it


@pytest.mark.parametrize("change", ["level", "order", "count", "shape"])
def test_features_of_other_images_are_refused(
    change: str, images: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    cached_features(Counted(), images, directory=tmp_path, key="mine")
    other = {
        "level": images ^ np.eye(6, dtype=np.uint8)[:, :4, None, None],
        "order": images[::-1],
        "count": images[:5],
        "shape": images.reshape(6, 4, 1, 5),
    }[change]
    space = Counted()
    with caplog.at_level(logging.WARNING, logger="undrift"):
        found = cached_features(space, other, directory=tmp_path, key="mine")
    assert "of other images" in caplog.text
    assert space.asked == len(other)
    np.testing.assert_array_equal(found, Counted().features(other))
    caplog.clear()
    cached_features(space, other, directory=tmp_path, key="mine")
    assert space.asked == len(other)  # the entry was replaced
    assert not caplog.records


def test_a_damaged_entry_is_made_again(
    images: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    first = cached_features(Counted(), images, directory=tmp_path, key="mine")
    (path,) = tmp_path.glob("*.safetensors")
    blob = bytearray(path.read_bytes())
    blob[-3] ^= 1
    path.write_bytes(bytes(blob))
    with caplog.at_level(logging.WARNING, logger="undrift"):
        found = cached_features(Counted(), images, directory=tmp_path, key="mine")
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(found, first)


def test_the_default_place_is_the_cache(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    cached_features(Counted(), images, key="mine")
    assert len(list((tmp_path / "features").glob("features-sums-12345678-*"))) == 2
