"""The dials of both families, from one end to the other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.claims.dials.exact import bench, data, exact, generator_of_modes
from tests.pipelines.models import small

from undrift.claims.dials import METRICS, dial_of, sweep
from undrift.errors import UsageError
from undrift.evaluation.reference import Reference, ReferenceImages
from undrift.evaluation.target import Target
from undrift.metrics import Images, measure
from undrift.metrics.features.pixels import PixelFeatures


def bench_of(images):
    real, known = Images(images[:30]), Images(images[30:])
    reference = ReferenceImages("noise", "test", real, known, (), "noise", ())
    return Reference(reference, real, PixelFeatures.fit(known.images), None, 0)


def test_truncation_trades_coverage_for_precision():
    made = sweep(generator_of_modes(), [0.0, 0.6, 1.0], bench(), n=120)
    assert made.dial == "truncation" and [point.value for point in made.points] == [0, 0.6, 1]
    recall = [value for _, value, _, _ in made.curve("recall")]
    assert recall[0] < recall[1] < recall[2]
    coverage = made.curve("coverage")
    assert coverage[0][1] < coverage[2][1]
    precision = [value for _, value, _, _ in made.curve("precision")]
    assert precision[1] > precision[2]
    fd = made.curve("fd")
    floor = made.points[2].measured.metrics["fd"].floor
    assert fd[2][1] < 2 * floor and fd[0][1] > 1.3 * fd[2][1]
    assert all(low <= value <= high for _, value, low, high in fd)
    assert made.curve("label_accuracy") == []
    assert "no labels" in made.points[0].measured.missing["label_accuracy"]


def test_a_point_is_what_an_evaluation_finds():
    pipeline, where = generator_of_modes(("dark", "bright")), bench()
    made = sweep(pipeline, [0.5, 0.8], where, n=60, seed=3, names=("fd", "label_accuracy"))
    drawn = pipeline(60, seed=3, truncation=0.8)
    subject = Target("the model", pipeline, classes=("dark", "bright"))
    alone = measure(
        where.comparison(Images(drawn.images, drawn.labels), subject), ("fd", "label_accuracy")
    )
    for name in ("fd", "label_accuracy"):
        found, wanted = made.points[1].measured.metrics[name], alone.metrics[name]
        for part in ("value", "low", "high", "floor"):
            assert getattr(found, part) == pytest.approx(getattr(wanted, part)), (name, part)
    assert made.points[0].nfe == 1 and made.points[0].seconds > 0
    assert made.points[0].measured.metrics["label_accuracy"].value == 1


def test_labels_are_those_asked_for_whatever_their_order():
    """Classes of the model are matched with the bench's by name."""
    pipeline = generator_of_modes(("dark", "bright"))
    swapped = generator_of_modes(("bright", "dark"))
    names = ("label_accuracy",)
    right = sweep(pipeline, [1.0], bench(), n=40, labels="all", names=names).curve(names[0])
    wrong = sweep(swapped, [1.0], bench(), n=40, labels="all", names=names).curve(names[0])
    assert right[0][1] == 1 and wrong[0][1] == 0


def test_guidance_is_turned_with_the_same_noise():
    pipeline = small(("dark", "bright", "grey"))
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 1)).astype(np.uint8)
    where = bench_of(images)
    told = []
    made = sweep(
        pipeline,
        [1.0, 3.0],
        where,
        n=20,
        labels=[0, 1],
        steps=3,
        names=("fd",),
        on_value=lambda done, of: told.append((done, of)),
    )
    assert made.dial == "guidance" and told == [(0, 2), (1, 2)]
    assert [point.nfe for point in made.points] == [3, 6]
    assert made.curve("fd")[0][1] != made.curve("fd")[1][1]
    plain = made.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["points"][1]["value"] == 3
    assert plain["points"][0]["metrics"]["fd"]["floor"] > 0


def test_by_default_it_measures_both_sides_of_the_trade():
    assert METRICS == ("precision", "recall", "density", "coverage", "fd", "label_accuracy")
    made = sweep(generator_of_modes(("dark", "bright")), [1.0], bench(), n=40)
    assert tuple(made.points[0].measured.metrics) == METRICS


def test_models_without_a_dial_and_values_that_it_cannot_have():
    where = bench()
    with pytest.raises(UsageError, match="without classes has no dial"):
        sweep(exact(), [1.0], where, n=10)
    with pytest.raises(UsageError, match="no values"):
        sweep(generator_of_modes(), [], where, n=10)
    with pytest.raises(UsageError, match="share from 0 to 1"):
        sweep(generator_of_modes(), [1.5], where, n=10)
    with pytest.raises(UsageError, match="unknown metric"):
        sweep(generator_of_modes(), [1.0], where, n=10, names=("fid",))
    assert [dial_of(one).name for one in (small(), generator_of_modes())] == [
        "guidance",
        "truncation",
    ]
    assert data(3, 0)[0].shape == (3, 4, 4, 1)
