"""All metrics of a set of samples on real digits: noise, collapse, wrong labels and replay show."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from undrift.errors import UsageError
from undrift.metrics import Comparison, Images, chosen_metrics, measure, open_spaces
from undrift.metrics.catalogue import METRICS, QUICK
from undrift.schema import to_plain

NAMES = tuple("0123456789")


@pytest.fixture(scope="module")
def parts() -> tuple[Images, Images, Images]:
    """Training, held-out, and fresh images that stand for a perfect model's samples."""
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    rows = (order[:599], order[599:1198], order[1198:])
    training, held_out, fresh = (Images(images[part], labels[part]) for part in rows)
    return training, held_out, fresh


@pytest.fixture(scope="module")
def spaces(parts: tuple[Images, Images, Images]) -> Any:
    return open_spaces(parts[0])


@pytest.fixture(scope="module")
def compare(parts: tuple[Images, Images, Images], spaces: Any) -> Any:
    def made(images: Any, labels: Any, **changed: Any) -> Comparison:
        asked = {
            "reference": parts[1],
            "training": parts[0],
            "extractor": spaces[0],
            "classifier": spaces[1],
            "classes": NAMES,
            "seed": 0,
            "split": "test",
        }
        return Comparison(Images(images, labels), **(asked | changed))

    return made


def quick(compare: Any, images: Any, labels: Any) -> dict[str, Any]:
    return measure(compare(images, labels), QUICK).metrics


def test_unseen_real_images_score_as_real_ones(compare: Any, parts: Any):
    found = measure(compare(parts[2].images, parts[2].labels), chosen_metrics(["all"]))
    obeyed = {"prompt_top1", "prompt_top5", "prompt_swap", "number_error", "mask_iou", "map_error"}
    elsewhere = {"cmmd"} | obeyed
    assert set(found.metrics) | elsewhere == set(METRICS)
    metrics = found.metrics
    for name, metric in metrics.items():
        assert metric.low <= metric.value <= metric.high, name
        # of 599 samples, as many training images are not enough of every class; see test_floors
        assert (metric.floor is None) == (name in ("c_t", "class_fd")), name
    assert metrics["fd"].value < 1.5 * metrics["fd"].floor
    assert metrics["fd_infinity"].value < metrics["fd"].value
    assert metrics["kid"].low < 0.02
    assert metrics["label_accuracy"].value > 0.93
    assert abs(metrics["coverage"].value - metrics["coverage"].ideal) < 0.06
    assert abs(metrics["density"].value - 1) < 0.15
    assert metrics["memorization"].value < 0.04 and not metrics["memorization"].flagged
    assert metrics["memorization"].floor == pytest.approx(0.01, abs=0.01)
    assert abs(metrics["c_t"].value) < 3
    assert 0.4 < metrics["authenticity"].value < 0.75
    assert metrics["modes"].modes == 10
    assert metrics["cas"].value > 0.85
    assert 1 < metrics["inception_score"].value < 10


def test_noise_moves_every_metric_the_wrong_way(compare: Any, parts: Any):
    draws, fresh = np.random.default_rng(1), parts[2]
    values = []
    for amount in (0, 30, 90):
        noisy = fresh.images + draws.normal(0, amount, fresh.images.shape)
        values.append(quick(compare, np.clip(noisy, 0, 255).astype(np.uint8), fresh.labels))
    for name in ("fd", "kid"):
        distances = [entry[name].value for entry in values]
        assert distances[0] < 0.7 * distances[1] < 0.5 * distances[2]
    for name in ("label_accuracy", "coverage", "precision"):
        assert values[0][name].value > values[2][name].value + 0.1


def test_replay_collapse_and_wrong_labels_show(compare: Any, parts: Any):
    training, _, fresh = parts
    replayed = quick(compare, training.images, training.labels)["memorization"]
    assert replayed.value == 1.0 and replayed.flagged and replayed.exact == 599
    few = np.repeat(fresh.images[:10], 50, axis=0)
    collapsed = quick(compare, few, np.repeat(fresh.labels[:10], 50))
    assert collapsed["coverage"].value < 0.3
    wrong = quick(compare, fresh.images, (fresh.labels + 1) % 10)
    assert wrong["label_accuracy"].value < 0.05


def test_every_number_carries_its_sizes_floor_and_protocol(compare: Any, parts: Any):
    found = measure(compare(parts[2].images[:200], parts[2].labels[:200]), QUICK)
    json.dumps(to_plain(found), allow_nan=False)
    space = found.features.name
    assert found.metrics["fd"].name == f"FD[{space}]"
    for metric in found.metrics.values():
        assert metric.n == 200
        assert metric.n_reference > 0
        assert "200" in metric.protocol
        assert metric.interval in metric.protocol
    assert "FID" not in json.dumps(to_plain(found))
    assert (found.reference.split, found.reference.count) == ("test", 599)


def test_only_the_standard_protocol_is_called_fid(compare: Any, parts: Any):
    class Standard:
        name, standard_fid = "inception@6726825d", True

    metric = METRICS["fd"]
    sizes = {"reference": parts[0], "split": "train", "extractor": Standard()}
    few = compare(parts[2].images, None, **sizes)
    assert metric.full_name(few) == "FD[inception@6726825d]"
    many = np.zeros((50_000, 8, 8, 1), np.uint8)
    assert metric.full_name(compare(many, None, **sizes)) == "FID"
    assert "[" in metric.full_name(compare(many, None, extractor=Standard()))


def test_without_labels_what_needs_them_is_named(parts: Any):
    training, held_out, fresh = (Images(part.images) for part in parts)
    extractor, classifier = open_spaces(training, "random")
    assert classifier is None
    made = Comparison(fresh, held_out, training, extractor, None, (), 0, "test")
    found = measure(made, QUICK)
    assert found.features.name.startswith("random@")
    assert "label" in found.missing["label_accuracy"]


def test_an_undivided_reference_is_its_own_training_set(compare: Any, parts: Any):
    whole = Images(
        np.concatenate([parts[0].images, parts[1].images]),
        np.concatenate([parts[0].labels, parts[1].labels]),
    )
    made = compare(parts[2].images, parts[2].labels, reference=whole, training=None, split="all")
    found = measure(made, QUICK).metrics
    assert not found["memorization"].flagged
    assert found["memorization"].floor == pytest.approx(0.01, abs=0.01)
    copied = compare(whole.images[:300], whole.labels[:300], reference=whole, training=None)
    assert measure(copied, ["memorization"]).metrics["memorization"].value == 1.0


def test_training_images_as_reference_still_tell_copies_from_new_images(compare: Any, parts: Any):
    training, held_out, fresh = parts
    itself = {"reference": training, "own_rows": np.arange(len(training)), "split": "train"}
    new = measure(compare(fresh.images, fresh.labels, **itself), ["memorization", "c_t"])
    memorization = new.metrics["memorization"]
    assert memorization.threshold > 0 and not memorization.flagged
    assert memorization.floor == pytest.approx(0.01, abs=0.01)
    assert abs(new.metrics["c_t"].value) < 4
    mixed = np.concatenate([fresh.images[:100], training.images[:20]])
    copied = measure(compare(mixed, None, **itself), ["memorization"]).metrics["memorization"]
    assert copied.flagged and copied.exact == 20
    assert {pair.sample for pair in copied.closest} <= set(range(100, 120))


def test_a_part_of_an_undivided_set_is_compared_with_the_rest_and_copies_of_all_are_found(
    compare: Any, parts: Any
):
    training, held_out, _ = parts
    whole = Images(np.concatenate([training.images, held_out.images]))
    rows = np.arange(0, len(whole), 4)
    part = {"reference": whole.take(rows), "training": whole, "own_rows": rows, "split": "all"}
    made = compare(whole.images[1:400:2], None, **part)  # none of them is in the reference
    found = measure(made, ["fd", "memorization"]).metrics
    assert found["memorization"].value == 1.0
    assert "as many other real images in place of the samples" in found["fd"].protocol
    assert found["fd"].value < 2 * found["fd"].floor  # both are real, of one size


def test_only_10000_samples_are_looked_up_from_all_over_the_set(
    compare: Any, parts: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("undrift.metrics.comparison.MOST_LOOKED_UP", 50)
    copies = np.concatenate([parts[2].images[:400], parts[0].images[:100]])
    found = measure(compare(copies, None), ["memorization"]).metrics["memorization"]
    assert found.n == 50 and 0 < found.exact < 50
    exact = [pair for pair in found.closest if pair.distance == 0]
    assert exact and all(pair.sample - pair.training == 400 for pair in exact)


def test_the_classifiers_accuracy_stands_beside_its_name(compare: Any, parts: Any):
    found = measure(compare(parts[2].images, parts[2].labels), ["fd", "label_accuracy"])
    assert found.classifier.accuracy == found.metrics["label_accuracy"].floor > 0.9


def test_kernel_distances_in_the_standard_space_are_also_made_as_published_ones(
    compare: Any, parts: Any, monkeypatch: pytest.MonkeyPatch
):
    class Standard:
        name, description, standard_fid = "inception@6726825d", "", True

        def features(self, images: np.ndarray) -> np.ndarray:
            return images.reshape(len(images), -1)[:, ::4] / 16.0

    made = compare(parts[2].images, None, extractor=Standard(), classifier=None)
    assert measure(made, ["kid"]).metrics["kid"].as_published is None  # fewer than 1,000
    monkeypatch.setattr("undrift.metrics.measurements.SUBSET", 200)
    record = measure(made, ["kid"]).metrics["kid"]
    published = record.as_published
    assert (published.subset_size, published.subsets) == (200, 100)
    assert published.mean == pytest.approx(record.value, abs=published.deviation)


def test_features_that_know_classes_give_the_inception_score_themselves(parts: Any):
    class Halves:
        """Two classes: which half of an image is brighter."""

        name, description, dimension, standard_fid, classes = "halves@0", "", 2, False, 2

        def features(self, images: np.ndarray) -> np.ndarray:
            return images.reshape(len(images), 2, -1).mean(axis=2)

        def predict(self, images: np.ndarray) -> np.ndarray:
            return self.features(images).argmax(axis=1)

        def probabilities(self, images: np.ndarray) -> np.ndarray:
            return np.eye(2)[self.predict(images)]

        def probabilities_of(self, features: np.ndarray) -> np.ndarray:
            return np.eye(2)[features.argmax(axis=1)]

        def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.features(images), self.probabilities(images)

    training, held_out, fresh = (Images(part.images) for part in parts)
    made = Comparison(fresh, held_out, training, Halves(), None, (), 0, "test")
    found = measure(made, ["inception_score", "modes"])
    record = found.metrics["inception_score"]
    assert record.name == "IS[halves@0]" and 1.5 < record.value <= 2
    assert record.floor is not None
    assert "labels" in found.missing["modes"]  # these are about the reference's classes


def test_leaving_samples_out_is_measuring_the_rest(compare: Any, parts: Any):
    whole = compare(parts[2].images, parts[2].labels)
    measure(whole, QUICK)  # fills what is kept
    less = whole.without(np.arange(0, 200))
    fresh = compare(parts[2].images[200:], parts[2].labels[200:])
    for name in ("fd", "kid", "label_accuracy"):
        assert METRICS[name].measure(less).estimate.value == pytest.approx(
            METRICS[name].measure(fresh).estimate.value, rel=1e-9
        )


def test_unknown_metrics_and_too_few_samples_are_refused(compare: Any, parts: Any):
    with pytest.raises(UsageError, match="did you mean 'coverage'"):
        chosen_metrics(["covrage"])
    assert chosen_metrics(["fd", "quick", "fd"])[0] == "fd"
    with pytest.raises(UsageError, match="at least 2"):
        measure(compare(parts[2].images[:1], None), QUICK)
