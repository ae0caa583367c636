"""Samples against corrupted real images: the verdict on them, and the table on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report import fake_run
from tests.report.fake_run import metric

from undrift.metrics.sensitivity import Response, Sensitivity
from undrift.report import write_report
from undrift.report.sensitivity import seen_tables, with_samples
from undrift.report.verdict import Verdict
from undrift.results.evaluation import FirstMetrics
from undrift.schema import to_plain

LEARNED = Verdict("learned", "It has learned.")


def space_of(metric: str, real: float, **values: tuple[float, float, bool]) -> Sensitivity:
    """A space: corruption -> value, half of its interval, whether it is seen."""
    responses = tuple(
        Response(metric, name.replace("_", " "), name, value, value - half, value + half, seen)
        for name, (value, half, seen) in values.items()
    )
    return Sensitivity("texture@01234567", 500, 200, {metric: real}, responses)


def evaluation(high: float, floor: float, *spaces: Sensitivity, **more: Any) -> FirstMetrics:
    texture = metric("texture_fd", high - 1, (high - 2, high), floor)
    return FirstMetrics(metrics={"texture_fd": texture, **more}, sensitivity=spaces)


NOISE = space_of("texture_fd", 2.0, strong_noise=(12.0, 1.0, True), blur=(3.0, 0.5, True))


@pytest.mark.parametrize(
    ("high", "floor", "state"),
    [
        (9.0, 2.0, "learned"),  # 7 above real images, corrupted ones at least 9
        (11.5, 2.0, "early"),  # 9.5 above: their intervals meet
        (40.0, 2.0, "early"),
        (14.0, 6.0, "learned"),  # fewer images: the floor is higher, the excess is what counts
    ],
)
def test_learnt_only_when_clearly_better_than_gross_corruptions(
    high: float, floor: float, state: str
):
    found = with_samples(LEARNED, evaluation(high, floor, NOISE))
    assert found.state == state
    if state == "early":
        assert "not clearly better than real images with strong noise" in found.sentence
        assert "texture distance" in found.sentence


def test_a_space_that_hardly_sees_a_corruption_does_not_decide():
    # emoji after ten minutes: in random features strong noise moves real images by a quarter only
    random = space_of("fd", 6.5, strong_noise=(8.1, 0.8, True))
    texture = space_of("texture_fd", 6.6, strong_noise=(117.0, 2.5, True))
    fd = metric("fd", 9.5, (8.3, 10.8), 7.8)
    assert with_samples(LEARNED, evaluation(14.1, 9.5, random, texture, fd=fd)).state == "learned"
    worse = evaluation(120.0, 9.5, random, texture, fd=fd)
    assert with_samples(LEARNED, worse).state == "early"
    alone = replace(worse, metrics={"fd": fd})
    assert with_samples(LEARNED, alone).state == "early"  # nothing better is known


@pytest.mark.parametrize(
    ("high", "state"), [(0.4, "learning"), (0.54, "learning"), (0.56, "learned"), (0.99, "learned")]
)
def test_learnt_only_when_samples_show_their_classes(high: float, state: str):
    classes = {f"class {k}": 0.3 for k in range(5)}  # (0.9 + 1 / 5) / 2 = 0.55
    ends = (high - 0.1, high)
    shown = metric("label_accuracy", high - 0.05, ends, 0.9, classes=classes)
    found = with_samples(LEARNED, evaluation(9.0, 2.0, NOISE, label_accuracy=shown))
    assert found.state == state
    if state == "learning":
        assert f"class of {high - 0.05:.1%} of the samples, and of 90.0% of" in found.sentence


def test_learnt_needs_a_distance_that_sees_gross_corruptions():
    mild = space_of("texture_fd", 2.0, blur=(3.0, 0.5, True), fine_noise=(2.5, 0.1, True))
    unseen = space_of("texture_fd", 2.0, strong_noise=(2.5, 1.0, False))
    for space in (mild, unseen):
        found = with_samples(LEARNED, evaluation(9.0, 2.0, space))
        assert found.state == "learning"
        assert "no distance sees noise" in found.sentence


def test_samples_like_visibly_noisy_images_are_learning():
    gross = {"strong_noise": (120.0, 1.0, True), "blur": (3.0, 0.5, True)}
    visible = space_of("texture_fd", 2.0, **gross, noise=(12.0, 1.0, True))
    found = with_samples(LEARNED, evaluation(40.0, 2.0, visible))
    assert found.state == "learning"  # nearly there: not called noise, nor learned
    assert "real images with noise" in found.sentence
    assert with_samples(LEARNED, evaluation(9.0, 2.0, visible)).state == "learned"


def test_without_the_test_nothing_is_called_learnt():
    found = with_samples(LEARNED, FirstMetrics(sensitivity_missing="30 real images"))
    assert found.state == "learning"
    assert "not tested: 30 real images" in found.sentence
    stuck = Verdict("stuck", "Probably broken.")
    assert with_samples(stuck, evaluation(40.0, 2.0, NOISE)) is stuck


def test_the_page_shows_what_each_metric_sees(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "run")
    path = run / "evaluation" / "first.json"
    found = json.loads(path.read_text())
    space = space_of("fd", 0.6, noise=(0.61, 0.3, False), strong_noise=(9.0, 1.0, True))
    found["sensitivity"] = [to_plain(space)]
    found["metrics"]["fd"]["unseen"] = ["noise of 15%"]
    path.write_text(json.dumps(found))
    page = write_report(run).read_text()
    assert "On these images it does not see: noise of 15%." in page
    assert "<s>0.61</s>" in page  # struck out: not seen
    assert ">9</td>" in page
    (table,) = seen_tables(FirstMetrics(sensitivity=(space,)))
    assert [name for name, _ in table.rows] == ["real images", "noise", "strong noise"]
    assert table.columns == ("Fréchet distance",)


def test_without_real_images_of_its_size_a_distance_confirms_nothing():
    reason = "40 real images beside the reference, 500 samples"
    texture = metric("texture_fd", 8.0, (7.0, 9.0), None, floor_missing=reason)
    found = evaluation(9.0, 2.0, NOISE, texture_fd=texture)
    verdict = with_samples(LEARNED, found)
    assert verdict.state == "learning"  # a floor that is not there must not pass for a small one
    assert (
        f"not tested: the distance of real images was not measured ({reason})" in verdict.sentence
    )
    fd = metric("fd", 8.0, (7.0, 9.0), 2.0)
    found = evaluation(9.0, 2.0, NOISE, texture_fd=texture, fd=fd)
    assert with_samples(LEARNED, found).state == "learning"  # the other distance was not tested
    tested = (NOISE, space_of("fd", 2.0, strong_noise=(12.0, 1.0, True)))
    assert with_samples(LEARNED, replace(found, sensitivity=tested)).state == "learned"
