"""What a finished run is measured with is drawn under the conditions of real images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.training.small import digits, model
from tests.training.students import student_config, teacher

import undrift
from undrift.conditioning.maps.spec import MapSpec
from undrift.families.student import level
from undrift.metrics import Images
from undrift.metrics.results import Measurements
from undrift.training.learners.student import StudentLearner
from undrift.workflows import closing
from undrift.workflows.given import drawing_with, given_by
from undrift.workflows.steps import measure_steps

GREY = MapSpec("grey", (1, 8, 8), "grey")


@pytest.fixture(scope="module")
def conditioned():
    """A student and its teacher, both of grey maps."""
    images = digits()
    trained = model(images, spec=replace(model(images).spec, maps=(GREY,)))
    taught = teacher(images, spec=trained.spec)
    return StudentLearner(
        student_config(images, trained), seed=0, teacher=taught
    ).pipeline(), taught


def test_samples_have_the_maps_of_real_images(conditioned):
    pipeline, images = conditioned[0], digits()
    given = given_by(images, pipeline.spec, ("digits", "train"))
    assert given is not None and "grey" in drawing_with(given)(pipeline, 3).settings["maps"]
    ours = given.arguments(0, 2)["maps"]["grey"]
    assert all((images.images == one).all(axis=(1, 2, 3)).any() for one in ours)


def test_of_a_model_of_classes_alone_the_samples_are_its_own():
    images = digits()
    pipeline = teacher(images)
    assert given_by(images, pipeline.spec, ("digits", "train")) is None
    ours = drawing_with(None)(pipeline, 2, steps=2)
    assert np.array_equal(ours.images, pipeline(2, seed=0, steps=2).images)


def test_each_number_of_steps_and_its_price_are_under_conditions(conditioned):
    student, taught = conditioned
    draw = drawing_with(given_by(digits(), student.spec, ("digits", "train")))
    seen = []

    def noted(pipeline, n, **settings):
        samples = draw(pipeline, n, **settings | ({"steps": 2} if pipeline is taught else {}))
        seen.append(samples.settings)
        return samples

    facts = dict.fromkeys(("features", "classifier", "reference", "samples", "protocol"))
    nothing = Measurements(metrics={}, missing={}, seed=0, **facts)
    measure_steps(student, taught, 2, noted, lambda samples: nothing)
    assert len(seen) == 4 * 9 and all("maps" in one for one in seen)


def test_the_level_of_two_steps_is_chosen_under_conditions(conditioned, monkeypatch):
    monkeypatch.setattr(level, "SAMPLES", 20)
    monkeypatch.setattr(level, "LEVELS", (0.8, 1.6))
    student, seen = conditioned[0], []
    images = digits()
    draw = drawing_with(given_by(images, student.spec, ("digits", "train")))

    def noted(pipeline, n, **settings):
        samples = draw(pipeline, n, **settings)
        seen.append(samples.settings)
        return samples

    level.best_level(student, Images(images.images[:100], images.labels[:100]), 2, noted)
    assert len(seen) == 2 and all("maps" in one and one["seed"] == level.SEED for one in seen)


@pytest.mark.slow
def test_the_first_metrics_are_of_samples_with_maps(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(closing, "FEWEST", 8)
    monkeypatch.setattr(closing, "PIXELS", 0)
    undrift.train("digits", out=tmp_path / "run", steps=2, network="mlp", maps=["edges"])
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "drawn with the edges maps of digits: " in log
    assert json.loads((tmp_path / "run" / "evaluation" / "first.json").read_text())["metrics"]
