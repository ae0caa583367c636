"""Frechet distance by class: the class that is off shows, the others do not."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.class_frechet import class_frechet
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.moments import Moments

NAMES = ("cat", "dog", "owl")


def sets() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    labels, real_labels = draws.integers(0, 3, 900), draws.integers(0, 3, 1200)
    means = np.array([[0.0] * 4, [5.0] * 4, [-5.0] * 4])
    samples = means[labels] + draws.normal(size=(900, 4))
    samples[labels == 1] += 1.0
    return samples, labels, means[real_labels] + draws.normal(size=(1200, 4)), real_labels


def test_each_class_is_compared_with_its_own():
    x, labels, y, real = sets()
    found = class_frechet(x, labels, y, real, NAMES)
    assert list(found.by_class) == list(NAMES) and not found.left_out
    for label, name in enumerate(NAMES):
        wanted = frechet_distance(Moments.of(x[labels == label]), Moments.of(y[real == label]))
        assert found.by_class[name].value == pytest.approx(wanted, rel=1e-9)
    assert found.values["dog"] == pytest.approx(4, abs=1)
    assert max(found.values["cat"], found.values["owl"]) < 0.3
    assert found.by_class["dog"].low > found.by_class["cat"].high


def test_the_mean_weighs_classes_alike_and_its_error_falls():
    found = class_frechet(*sets(), NAMES)
    assert found.mean.value == pytest.approx(np.mean(list(found.values.values())))
    widths = [each.high - each.value for each in found.by_class.values()]
    wanted = np.sqrt(np.sum(np.square(widths))) / 3
    assert found.mean.high - found.mean.value == pytest.approx(wanted)
    assert "3 independent classes" in found.mean.method


def test_a_class_without_two_images_is_left_out_with_the_reason():
    x, labels, y, real = sets()
    rare = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:1]])
    found = class_frechet(x[rare], labels[rare], y, real, (*NAMES, "yak"))
    assert list(found.by_class) == ["cat", "dog"]
    assert found.left_out["owl"].startswith("1 samples")
    assert found.left_out["yak"].startswith("0 samples and 0 reference")


def test_what_cannot_be_compared_is_refused():
    x, labels, y, real = sets()
    with pytest.raises(UsageError, match="one per image"):
        class_frechet(x, labels[:-1], y, real, NAMES)
    with pytest.raises(UsageError, match="2 classes were named"):
        class_frechet(x, labels, y, real, NAMES[:2])
    with pytest.raises(UsageError, match="no class has two"):
        class_frechet(x[:1], labels[:1], y, real, NAMES)
