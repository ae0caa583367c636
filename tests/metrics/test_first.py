"""The first metrics of a run on real digits: noise, collapse, wrong labels and replay all show."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from undrift.errors import UsageError
from undrift.metrics import first_metrics


class Split:
    def __init__(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        self.images = images
        self.labels = labels


@pytest.fixture(scope="module")
def halves() -> tuple[Split, Split, Split]:
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    labels = data.target.astype(np.int64)
    parts = (order[:600], order[600:1200], order[1200:])
    training, held_out, fresh = (Split(images[rows], labels[rows]) for rows in parts)
    return training, held_out, fresh


def measure(halves: tuple[Split, Split, Split], images: Any, labels: Any) -> dict[str, Any]:
    return first_metrics(images, labels, halves[0], halves[1])["metrics"]


def test_unseen_real_images_score_as_real_ones(halves: tuple[Split, Split, Split]):
    found = measure(halves, halves[2].images, halves[2].labels)
    assert list(found) == ["fd", "label_accuracy", "coverage", "copies"]
    assert found["fd"]["value"] < 1.5 * found["fd"]["floor"]
    assert found["fd"]["interval"][0] <= found["fd"]["value"] <= found["fd"]["interval"][1]
    assert found["label_accuracy"]["value"] > 0.93
    assert abs(found["coverage"]["value"] - found["coverage"]["ideal"]) < 0.06
    assert found["copies"]["value"] < 0.04
    assert found["copies"]["floor"] == pytest.approx(0.01, abs=0.002)


def test_noise_moves_every_metric_the_wrong_way(halves: tuple[Split, Split, Split]):
    draws, fresh = np.random.default_rng(1), halves[2]
    values = []
    for amount in (0, 30, 90):
        noisy = fresh.images + draws.normal(0, amount, fresh.images.shape)
        values.append(measure(halves, np.clip(noisy, 0, 255).astype(np.uint8), fresh.labels))
    distances = [entry["fd"]["value"] for entry in values]
    assert distances[0] < 0.7 * distances[1] < 0.5 * distances[2]
    for name in ("label_accuracy", "coverage"):
        assert values[0][name]["value"] > values[2][name]["value"] + 0.1


def test_replay_collapse_and_wrong_labels_show(halves: tuple[Split, Split, Split]):
    training, _, fresh = halves
    assert measure(halves, training.images, training.labels)["copies"]["value"] == 1.0
    few = np.repeat(fresh.images[:10], 50, axis=0)
    collapsed = measure(halves, few, np.repeat(fresh.labels[:10], 50))
    assert collapsed["coverage"]["value"] < 0.3
    wrong = measure(halves, fresh.images, (fresh.labels + 1) % 10)
    assert wrong["label_accuracy"]["value"] < 0.05


def test_every_number_carries_its_sizes_floor_and_protocol(halves: tuple[Split, Split, Split]):
    found = first_metrics(
        halves[2].images[:200], halves[2].labels[:200], halves[0], halves[1], held_out_name="test"
    )
    json.dumps(found, allow_nan=False)
    space = found["features"]["name"]
    assert found["metrics"]["fd"]["name"] == f"FD[{space}]"
    for metric in found["metrics"].values():
        assert metric["floor"] is not None
        assert metric["n"] == 200
        assert metric["n_reference"] > 0
        assert "200" in metric["protocol"]
    assert "FID" not in json.dumps(found)
    assert found["reference"] == {"split": "test", "count": 600}


def test_without_labels_the_space_is_random_and_says_so(halves: tuple[Split, Split, Split]):
    training = Split(halves[0].images, None)
    held_out = Split(halves[1].images, None)
    found = first_metrics(halves[2].images, None, training, held_out)
    assert found["features"]["name"].startswith("random@")
    assert "label_accuracy" not in found["metrics"]
    assert "labels" in found["missing"]["label_accuracy"]
    noisy = np.random.default_rng(2).integers(0, 256, halves[2].images.shape).astype(np.uint8)
    worse = first_metrics(noisy, None, training, held_out)
    assert worse["metrics"]["fd"]["value"] > 5 * found["metrics"]["fd"]["value"]


def test_without_held_out_images_the_protocol_says_so(halves: tuple[Split, Split, Split]):
    training, _, fresh = halves
    for held_out in (None, Split(training.images[:0], training.labels[:0])):
        found = first_metrics(fresh.images, fresh.labels, training, held_out)
        assert "replaying the training set would score best" in found["protocol"]
        assert found["reference"]["split"] == "training"
        assert "held-out" in found["missing"]["copies"]


def test_one_sample_is_no_distribution(halves: tuple[Split, Split, Split]):
    with pytest.raises(UsageError, match="at least 2"):
        first_metrics(halves[2].images[:1], None, halves[0], halves[1])
