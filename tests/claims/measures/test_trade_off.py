"""Guidance and truncation, from one end to the other."""

from __future__ import annotations

import numpy as np
import pytest
from tests.claims.measures.exact import exact, generator_of_modes, reference
from tests.pipelines.models import small

from undrift.claims.measures.trade_off import METRICS, dial_of, points_along
from undrift.errors import UsageError
from undrift.evaluation.reference import Reference, ReferenceImages
from undrift.evaluation.target import Target
from undrift.metrics import Images, measure
from undrift.metrics.features.pixels import PixelFeatures


def reference_of(images):
    real, known = Images(images[:30]), Images(images[30:])
    references = ReferenceImages("noise", "test", real, known, (), "noise", ())
    return Reference(references, real, PixelFeatures.fit(known.images), None, 0)


def values(points, name):
    return [getattr(point, name).value for point in points]


def test_truncation_trades_coverage_for_precision():
    made = points_along(generator_of_modes(), [0.0, 0.6, 1.0], reference(), n=120)
    assert [point.dial for point in made] == [0, 0.6, 1]
    recall, coverage, precision, fd = (
        values(made, name) for name in ("recall", "coverage", "precision", "fd")
    )
    assert recall[0] < recall[1] < recall[2] and coverage[0] < coverage[2]
    assert precision[1] > precision[2] and fd[0] > 1.3 * fd[2]
    assert all(point.fd.low <= point.fd.value <= point.fd.high for point in made)
    assert all(point.label_accuracy is None for point in made)  # no labels


def test_a_point_is_what_an_evaluation_finds():
    pipeline, where = generator_of_modes(("dark", "bright")), reference()
    made = points_along(pipeline, [0.5, 0.8], where, n=60, seed=3)
    drawn = pipeline(60, seed=3, truncation=0.8)
    target = Target("the model", pipeline, classes=("dark", "bright"))
    alone = measure(where.comparison(Images(drawn.images, drawn.labels), target), METRICS)
    assert tuple(alone.metrics) == METRICS
    for name, wanted in alone.metrics.items():
        found = getattr(made[1], name)
        for part in ("value", "low", "high"):
            assert getattr(found, part) == pytest.approx(getattr(wanted, part)), (name, part)
    assert made[1].label_accuracy.value == 1


def test_classes_of_the_model_are_matched_with_the_references_by_name():
    right = points_along(generator_of_modes(("dark", "bright")), [1.0], reference(), n=40)
    wrong = points_along(generator_of_modes(("bright", "dark")), [1.0], reference(), n=40)
    assert values(right, "label_accuracy") == [1] and values(wrong, "label_accuracy") == [0]


def test_guidance_changes_the_samples_of_the_same_noise():
    pipeline = small(("dark", "bright", "grey"))
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 1)).astype(np.uint8)
    made = points_along(pipeline, [1.0, 3.0], reference_of(images), n=20)
    assert made[0].fd.value != made[1].fd.value


def test_models_without_guidance_or_truncation_and_values_that_they_cannot_have():
    with pytest.raises(UsageError, match="without classes has no guidance or truncation"):
        points_along(exact(), [1.0], reference(), n=10)
    with pytest.raises(UsageError, match="share from 0 to 1"):
        points_along(generator_of_modes(), [1.5], reference(), n=10)
    assert [dial_of(one).name for one in (small(), generator_of_modes())] == [
        "guidance",
        "truncation",
    ]
