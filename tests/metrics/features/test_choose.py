"""From a name to a space: each name its own, and a line for what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.features import DomainClassifier, open_extractor, selfsupervised


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)


@pytest.fixture(autouse=True)
def briefly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    monkeypatch.setattr(selfsupervised, "_IMAGES_SEEN", 32)


@pytest.mark.parametrize("spec", ["random", "pixels", "domain"])
def test_each_name_has_its_space(spec: str, images: np.ndarray):
    found = open_extractor(spec, images, np.arange(16) % 3)
    assert found.name.startswith(f"{spec}@")
    features = found.features(images)
    assert features.shape == (16, found.dimension)
    assert not found.standard_fid
    assert "\n" not in found.description


def test_domain_learns_labels_where_there_are_two(images: np.ndarray):
    assert isinstance(open_extractor("domain", images, np.arange(16) % 2), DomainClassifier)
    for labels in (None, np.zeros(16, np.int64), np.full(16, 3)):
        assert open_extractor("domain", images, labels).name.startswith("domain-ss@")


def test_seed_and_cache_are_passed_on(images: np.ndarray, tmp_path: Path):
    names = {open_extractor("domain", images, None, seed=seed).name for seed in (0, 0, 1)}
    assert len(names) == 2
    assert len(list((tmp_path / "features").glob("*.json"))) == 2
    open_extractor("domain", images, np.arange(16) % 2, cache_directory=tmp_path / "own")
    assert len(list((tmp_path / "own").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pixel", "did you mean 'pixels'"),
        ("dino", "did you mean 'dinov2'"),
        ("", "unknown features ''"),
        ("own.bin", "a file .pt or .onnx"),
        ("random:3", "takes nothing after a colon"),
        ("inception:x.pth", "takes nothing after a colon"),
        ("no_such_module_here:f", "cannot import"),
        ("nothing.pt", "nothing.pt is missing"),
        ("nothing.onnx", "nothing.onnx is missing"),
        ("inception", "91 MB"),
    ],
)
def test_what_is_no_space_is_refused(spec: str, message: str, images: np.ndarray):
    with pytest.raises(UsageError, match=message) as caught:
        open_extractor(spec, images, None)
    assert "\n" not in str(caught.value)


def test_a_weight_file_goes_with_inception_only(images: np.ndarray):
    with pytest.raises(UsageError, match="goes with features inception"):
        open_extractor("pixels", images, None, weights="x.pth")
    with pytest.raises(UsageError, match="no weight file x.pth"):
        open_extractor("inception", images, None, weights="x.pth")
