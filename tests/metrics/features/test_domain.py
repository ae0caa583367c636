"""The feature spaces: named by their weights, kept and checked on disk, fit for any image size."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from undrift.errors import UsageError
from undrift.metrics.features import DomainClassifier, RandomFeatures, domain, fitting


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    images = np.round(data.images * 255 / 16).astype(np.uint8)[order][..., None]
    return images, data.target.astype(np.int64)[order]


@pytest.fixture(scope="module")
def classifier(digits: tuple[np.ndarray, np.ndarray]) -> DomainClassifier:
    images, labels = digits
    return DomainClassifier.fit(images[:599], labels[:599])  # that of test_suite, cached


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three passes over the images in place of forty."""
    monkeypatch.setattr(fitting, "_IMAGES_SEEN", 1)


def test_learns_the_labels(classifier: DomainClassifier, digits: tuple[np.ndarray, np.ndarray]):
    images, labels = digits
    assert (classifier.predict(images[600:]) == labels[600:]).mean() > 0.92


def test_probabilities_are_those_of_the_prediction(
    classifier: DomainClassifier, digits: tuple[np.ndarray, np.ndarray]
):
    images, labels = digits[0][600:], digits[1][600:]
    found = classifier.probabilities(images)
    assert (found.shape, found.dtype) == ((len(images), classifier.classes), np.float64)
    assert classifier.classes == 10
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(found.argmax(axis=1), classifier.predict(images))
    # they are probabilities, not scores: what is said to be sure is right more often
    sure = found.max(axis=1) > 0.99
    right = found.argmax(axis=1) == labels
    assert 0.5 < sure.mean() < 1
    assert right[sure].mean() > 0.97 > right[~sure].mean()


def test_says_what_it_is(classifier: DomainClassifier):
    assert (classifier.dimension, classifier.standard_fid) == (64, False)


def test_features_have_unit_variance_and_need_no_company(
    classifier: DomainClassifier, digits: tuple[np.ndarray, np.ndarray]
):
    found = classifier.features(digits[0][:599])
    assert (found.shape, found.dtype) == ((599, 64), np.float64)
    assert found.var(axis=0, ddof=1).mean() == pytest.approx(1.0, rel=1e-4)
    alone = classifier.features(digits[0][7:8])
    np.testing.assert_allclose(alone[0], found[7], atol=1e-5)


@pytest.mark.usefixtures("short")
def test_same_seed_same_weights_and_nobody_elses_random_numbers_move(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
):
    images, labels = digits[0][:64], digits[1][:64]
    torch.manual_seed(5)
    names = [
        DomainClassifier.fit(images, labels, seed=seed, cache_directory=tmp_path / str(i)).name
        for i, seed in enumerate((0, 0, 1))
    ]
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == after
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("domain@")


@pytest.mark.usefixtures("short")
def test_cached_by_content_and_settings(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    images, labels = digits[0][:64], digits[1][:64]
    first = DomainClassifier.fit(images, labels, cache_directory=tmp_path)
    trained: list[int] = []
    train = domain.train

    def counted(*arguments):  # noqa: ANN202
        trained.append(1)
        train(*arguments)

    monkeypatch.setattr(domain, "train", counted)
    assert DomainClassifier.fit(images, labels, cache_directory=tmp_path).name == first.name
    assert not trained
    other = images.copy()
    other[0, 0, 0] ^= 1
    DomainClassifier.fit(other, labels, cache_directory=tmp_path)
    DomainClassifier.fit(images, np.roll(labels, 1), cache_directory=tmp_path)
    DomainClassifier.fit(images, labels, classes=11, cache_directory=tmp_path)
    assert len(trained) == 3
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".json", ".safetensors")]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "record", "other"])
def test_a_damaged_entry_is_reported_and_made_again(
    damage: str,
    digits: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    images, labels = digits[0][:32], digits[1][:32]
    first = DomainClassifier.fit(images, labels, cache_directory=tmp_path)
    (weights,), (record,) = tmp_path.glob("*.safetensors"), tmp_path.glob("*.json")
    blob = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(blob[:-9] + bytes([blob[-9] ^ 4]) + blob[-8:])
    elif damage == "truncate":
        weights.write_bytes(blob[:-100])
    elif damage == "remove":
        weights.unlink()
    elif damage == "record":
        record.write_text("{")
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"key": "domain-0"}))
    with caplog.at_level(logging.WARNING, logger="undrift"):
        again = DomainClassifier.fit(images, labels, cache_directory=tmp_path)
    assert again.name == first.name
    assert "damaged" in caplog.text
    assert weights.read_bytes() == blob


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 5, 1), (28, 20, 3), (256, 200, 4)])
def test_any_size_and_channel_count(shape: tuple[int, int, int], tmp_path: Path):
    draws = np.random.default_rng(0)
    labels = np.arange(12) % 2
    images = draws.integers(0, 120, (12, *shape)).astype(np.uint8)
    images[labels == 1] += 110
    found = DomainClassifier.fit(images, labels, cache_directory=tmp_path)
    assert found.features(images).shape == (12, 64)
    assert (found.predict(images) == labels).mean() >= 0.75
    assert np.isfinite(RandomFeatures.fit(images).features(images)).all()


def test_random_features_are_a_function_of_seed_and_images(
    digits: tuple[np.ndarray, np.ndarray],
):
    images = digits[0][:200]
    first, again, other = (RandomFeatures.fit(images, seed=seed) for seed in (0, 0, 1))
    assert first.name == again.name != other.name
    assert first.name.startswith("random@")
    found = first.features(images)
    assert found.var(axis=0, ddof=1).mean() == pytest.approx(1.0, rel=1e-4)
    assert (found.std(axis=0) > 0).sum() > 10


def test_what_makes_no_classifier_is_refused(
    classifier: DomainClassifier, digits: tuple[np.ndarray, np.ndarray]
):
    images, labels = digits
    with pytest.raises(UsageError, match="one label per image"):
        DomainClassifier.fit(images[:5], labels[:4])
    with pytest.raises(UsageError, match="two of each"):
        DomainClassifier.fit(images[:5], np.zeros(5, np.int64))
    with pytest.raises(UsageError, match="classes were named"):
        DomainClassifier.fit(images[:20], labels[:20], classes=3)
    with pytest.raises(UsageError, match="fitted on"):
        classifier.features(images[:2, :7])
    with pytest.raises(UsageError, match="fitted on"):
        classifier.features(images[:2].astype(np.float32))
    with pytest.raises(UsageError, match="at least 2"):
        RandomFeatures.fit(images[:1])
