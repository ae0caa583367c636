"""Numbers of a request: from values to images, to the record, and to errors and warnings."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from tests.pipelines.models import SMALL_UNET, small

from undrift.conditioning import Number
from undrift.errors import UsageError
from undrift.pipelines import DiffusionPipeline, Pipeline, SampleFolder
from undrift.pipelines.numbers import OutOfRangeWarning, parse_numbers, resolve_numbers

ANGLE = Number("angle", 0.5, 0.25, 0.0, 1.0)
AGE = Number("age", 40.0, 12.0, 20.0, 60.0)


@pytest.fixture
def pipeline() -> DiffusionPipeline:
    return small(classes=(), numbers=(ANGLE, AGE))


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("classes", [(), ("ant", "bee")])
def test_an_image_depends_on_its_own_numbers_and_on_each_of_them(classes: tuple) -> None:
    model = small(classes=classes, numbers=(ANGLE, AGE), config=SMALL_UNET)
    labels = "bee" if classes else None
    alone = model(1, labels=labels, numbers={"angle": 0.2, "age": 30}).images[0]
    together = model(3, labels=labels, numbers={"angle": [0.2, 0.9, 0.4], "age": 30}).images[0]
    assert apart(alone, together) <= 1
    for numbers in ({"angle": 0.9, "age": 30}, {"angle": 0.2, "age": 55}, {"angle": 0.2}):
        assert apart(model(1, labels=labels, numbers=numbers).images[0], alone) > 1


def test_they_take_turns_by_the_number_of_the_image() -> None:
    spec = small(classes=(), numbers=(ANGLE, AGE)).spec
    found = resolve_numbers({"age": [20, 30, 40]}, 4, spec, first=2)
    assert found is not None and found[:, 1].tolist() == [40, 20, 30, 40]
    assert np.isnan(found[:, 0]).all()
    zero = resolve_numbers({"angle": 0.0}, 1, spec)
    assert zero is not None and zero[0, 0] == 0 and np.isnan(zero[0, 1])


def test_they_are_recorded_and_repeat_the_images(pipeline: DiffusionPipeline) -> None:
    samples = pipeline(3, numbers={"angle": [0.1, 0.9], "age": np.float32(25)}, guidance=2)
    assert samples.settings["numbers"] == {"angle": [0.1, 0.9], "age": 25.0}
    settings = {name: value for name, value in samples.settings.items() if value is not None}
    assert np.array_equal(pipeline(**settings).images, samples.images)
    assert "numbers" not in pipeline(1).settings


def test_dropped_is_never_given(pipeline: DiffusionPipeline) -> None:
    """NaN in every column, which is what training drops to, is a request without numbers."""
    assert np.array_equal(pipeline(2, numbers={}).images, pipeline(2).images)


def test_guidance_goes_from_no_number_to_the_number(pipeline: DiffusionPipeline) -> None:
    given, none = pipeline(2, numbers={"angle": 0.9}), pipeline(2)
    strong = pipeline(2, numbers={"angle": 0.9}, guidance=6)
    assert strong.nfe == 2 * given.nfe
    assert apart(strong.images, given.images) > apart(given.images, none.images) > 1
    assert apart(pipeline(2, numbers={"angle": 0.9}, guidance=0).images, none.images) <= 1
    with pytest.raises(UsageError, match="nothing to guide towards; give numbers"):
        pipeline(1, guidance=2)


@pytest.mark.filterwarnings("error")
def test_a_value_out_of_range_is_a_warning_with_the_range(pipeline: DiffusionPipeline) -> None:
    pipeline(1, numbers={"angle": [0, 1.0], "age": 60})
    with pytest.warns(OutOfRangeWarning, match="age 61 is outside of 20 to 60, its range"):
        pipeline(1, numbers={"age": [30, 61], "angle": 1})
    with pytest.raises(OutOfRangeWarning), warnings.catch_warnings():
        pipeline(1, numbers={"angle": -1e-9})


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"angel": 1}, "unknown number 'angel': did you mean 'angle'?"),
        ({"dose": 1}, "unknown number 'dose': this model takes angle, age"),
        ({"angle": []}, "no value of angle"),
        ({"angle": float("nan")}, "wanted a dictionary from text to a finite number or a list"),
        ({"angle": "steep"}, "numbers .* wanted a dictionary"),
        ([0.3], "wanted a dictionary"),
        ({3: 0.3}, "wanted a dictionary"),
    ],
)
def test_what_is_no_number_of_the_model_is_refused(
    pipeline: DiffusionPipeline, numbers: object, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        pipeline(1, numbers=numbers)  # type: ignore[arg-type]


def test_a_model_without_numbers_takes_none() -> None:
    with pytest.raises(UsageError, match=r"numbers {'angle': 0.3}: this model takes none"):
        small()(1, numbers={"angle": 0.3})


def test_saved_and_loaded_they_steer_the_same(pipeline: DiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "saved")
    loaded = Pipeline.from_pretrained(tmp_path / "saved")
    assert loaded.spec.numbers == (ANGLE, AGE) and loaded.fingerprint == pipeline.fingerprint
    asked = {"numbers": {"angle": 0.7, "age": 33}, "seed": 4}
    assert np.array_equal(loaded(2, **asked).images, pipeline(2, **asked).images)


def test_fingerprints_know_numbers_and_without_them_are_as_they_were() -> None:
    spec = small().spec
    assert spec.canonical == (
        "SampleSpec(shape=(1, 6, 5), class_names=('ant', 'bee', 'cat'), class_frequencies=(), "
        "sampler='dpmpp_2m', grid='karras', rho=7.0, sigma_min=0.002, steps=4, guidance=1.0)"
    )  # the repr of version 0.1.0
    other = small(classes=(), numbers=(Number("angle", 0.5, 0.5, 0.0, 1.0), AGE))
    assert other.fingerprint != small(classes=(), numbers=(ANGLE, AGE)).fingerprint


def test_a_folder_goes_on_with_the_same_numbers_only(
    pipeline: DiffusionPipeline, tmp_path: Path
) -> None:
    numbers = {"angle": [0.1, 0.5, 0.9]}
    with SampleFolder(tmp_path / "out", "it", 3) as folder:
        folder.add(pipeline(1, numbers=numbers))
        folder.interrupt()
    with SampleFolder(tmp_path / "out", "it", 3) as folder:
        with pytest.raises(UsageError, match="holds the beginning of other samples .numbers"):
            folder.add(pipeline(2, numbers={"angle": 0.1}, first=1))
        folder.add(pipeline(2, numbers=numbers, first=1))
        folder.close()
    record = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert record["settings"]["numbers"] == numbers


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["angle=0.3"], {"angle": [0.3]}),
        (["angle=0,0.5,-1e2", "age=3"], {"angle": [0.0, 0.5, -100.0], "age": [3.0]}),
        (["a=b=3"], {"a=b": [3.0]}),
    ],
)
def test_words_of_a_command_line_are_read(words: list[str], found: dict) -> None:
    assert parse_numbers(words) == found


@pytest.mark.parametrize("word", ["angle", "angle=", "=3", "angle=x", "angle=1,,2", "angle=nan"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="wanted NAME=NUMBER, as angle=0.3"):
        parse_numbers([word])
    with pytest.raises(UsageError, match="angle comes twice"):
        parse_numbers(["angle=1", "angle=2"])


@pytest.mark.parametrize("method", ["moments", "repaint"])
def test_fills_depend_on_the_numbers_of_their_image(
    pipeline: DiffusionPipeline, method: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 1), np.uint8)
    mask = np.zeros((6, 5), bool)
    mask[2:, 1:] = True
    asked = {"variants": 2, "steps": 3, "method": method}
    open_ = pipeline.inpaint(images, mask, **asked)
    both = pipeline.inpaint(images, mask, numbers={"angle": [0.1, 0.9]}, **asked)
    same = pipeline.inpaint(images, mask, numbers={"angle": [0.1, 0.1]}, **asked)
    assert apart(both.images[:2], same.images[:2]) <= 1 < apart(both.images[2:], same.images[2:])
    assert apart(both.images[:2], open_.images[:2]) > 1
    assert both.settings["numbers"] == {"angle": [0.1, 0.9]} and "numbers" not in open_.settings
    assert np.array_equal(both.images[:, ~mask], np.repeat(images, 2, axis=0)[:, ~mask])
    strong = pipeline.inpaint(images, mask, numbers={"angle": 0.1}, guidance=4, **asked)
    assert apart(strong.images, same.images) > 1
    with pytest.raises(UsageError, match="nothing to guide towards; give numbers"):
        pipeline.inpaint(images, mask, guidance=4, **asked)
