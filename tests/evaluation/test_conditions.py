"""Models of captions and numbers are drawn with those of the reference, and measured by them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data import zoo
from tests.pipelines.models import small

from undrift.cli.dispatch import main
from undrift.conditioning import Condition, Number
from undrift.conditioning.text import Texts, TextSpec
from undrift.errors import UsageError
from undrift.evaluation.conditions import (
    Conditions,
    condition_lines,
    conditions_of,
    obedience,
)
from undrift.evaluation.drawing import Sampling, draw
from undrift.evaluation.reference import ReferenceImages
from undrift.evaluation.target import Target
from undrift.evaluation.tuning.cases import Source
from undrift.likelihood import BoundMethod, LikelihoodRequest
from undrift.metrics import Images, comparison, number_reader
from undrift.pipelines.numbers import OutOfRangeWarning
from undrift.training.distributed import World

TEXT = TextSpec.fit(["a dark cat", "a light cat", "a bee"], most=20)
AGE, DOSE = Number("age", 2.0, 1.0, 0.0, 5.0), Number("dose", 0.0, 1.0, -1.0, 1.0)
CAPTIONS = ("a dark cat", "", "a bee", "a light cat " * 9, "a light cat", "a bee:1 AND a cat:1")


def reference(**changed: object) -> ReferenceImages:
    images = Images(
        np.zeros((6, 6, 5, 1), np.uint8),
        np.array([1, 0, 1, 0, 0, 1]),
        CAPTIONS,
        np.arange(12.0).reshape(6, 2),
    )
    given = {"images": images, "training": images, "number_names": ("dose", "age")} | changed
    facts = {"source": "photos", "split": "test", "classes": ("bee", "ant"), "fingerprint": "f"}
    return ReferenceImages(**facts, sets=(), **given)


def test_what_belongs_together_is_given_together() -> None:
    model = small(text=TEXT, numbers=(AGE, DOSE))
    found = conditions_of(model, reference(), seed=0)
    assert found is not None and sorted(found.captions) == sorted(
        [CAPTIONS[0], CAPTIONS[2], CAPTIONS[4]]  # without the empty, the cut and the composed one
    )
    for label, caption, numbers in zip(found.labels, found.captions, found.numbers, strict=True):
        row = CAPTIONS.index(caption)
        assert model.spec.class_names[label] == ("bee", "ant")[[1, 0, 1, 0, 0, 1][row]]
        assert numbers.tolist() == [2 * row + 1, 2 * row]  # age, dose
    assert found.key == conditions_of(model, reference(), seed=0).key
    assert found.key != conditions_of(model, reference(), seed=2).key
    assert obedience(found) == ["prompt_top1", "prompt_top5", "number_error"]


def test_words_are_swapped_for_those_of_training_captions() -> None:
    given = Conditions(None, ("a red cat", "a green cat"), None, (), "photos")
    assert given.swapped(["a red cat", "two dogs"], 0).captions == ("a red cat", "a red cat")
    assert given.swapped(["a cat sits"], 0) is None  # not for a word of the other's caption


def test_models_and_references_without_captions_or_numbers() -> None:
    assert conditions_of(small(), reference(), 0) is None
    bare = Images(np.zeros((6, 6, 5, 1), np.uint8))
    assert conditions_of(small(text=TEXT), reference(images=bare), 0) is None
    other = reference(number_names=("dose", "weight"))
    assert conditions_of(small(numbers=(AGE,)), other, 0) is None
    texts = conditions_of(small(text=TEXT, numbers=(AGE,), classes=()), other, 0)
    assert texts.numbers is None and texts.labels is None and texts.captions is not None
    alone = conditions_of(small(numbers=(AGE,), classes=("x", "y", "z")), reference(), 0)
    assert alone.captions is None and alone.labels is None  # other classes
    assert len(alone.numbers) == 6 and obedience(alone) == ["number_error"]
    assert obedience(None) == []


def test_what_is_given_and_what_is_left_open_is_told() -> None:
    model = small(text=TEXT, numbers=(AGE,), classes=())
    lines = condition_lines(model.spec, conditions_of(model, reference(), 0))
    assert lines == ["drawn with the captions and age of photos: 3 test images"]
    other = reference(number_names=("dose", "weight"))
    lines = condition_lines(model.spec, conditions_of(model, other, 0))
    assert lines[0] == "drawn with the captions of photos: 3 test images"
    assert lines[1] == "left open: age, since the reference does not give them all"
    long = Images(np.zeros((2, 6, 5, 1), np.uint8), None, ("a cat " * 50,) * 2, np.ones((2, 2)))
    found = conditions_of(model, reference(images=long), 0)
    assert found is not None and found.captions is None and len(found.numbers) == 2
    assert condition_lines(model.spec, found)[1].startswith("left open: captions, since")
    assert condition_lines(model.spec, None)[0].startswith("left open: captions and age")
    assert condition_lines(small().spec, None) == []


def test_every_sample_gets_the_condition_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    model = small(text=TEXT, numbers=(AGE,))
    given = Conditions(
        np.array([2, 0, 1]),
        ("a dark cat", "a bee", "a light cat"),
        np.array([[1.0], [2.0], [3.0]]),
        ("age",),
        "photos: 3 test images",
    )
    target = Target("model", model, classes=model.spec.class_names)
    world = World(0, 1, 0, "cpu")
    monkeypatch.setattr("undrift.evaluation.drawing.BLOCK", 4)
    drawn = draw(target, model, 7, Sampling(steps=2), world, None, given)
    assert drawn.images.captions == (given.captions * 3)[:7]
    assert drawn.images.numbers[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert drawn.images.labels.tolist() == [2, 0, 1, 2, 0, 1, 2]
    for i in (1, 4, 6):
        alone = model(
            1,
            steps=2,
            first=i,
            labels=int(given.labels[i % 3]),
            prompts=given.captions[i % 3],
            numbers={"age": float(given.numbers[i % 3, 0])},
        )
        apart = np.abs(alone.images[0].astype(int) - drawn.images.images[i].astype(int))
        assert apart.max() <= 1
    assert drawn.settings["conditions"] == "photos: 3 test images"
    assert not {"prompts", "numbers", "labels"} & set(drawn.settings)
    open_ones = draw(target, model, 7, Sampling(steps=2), world)
    assert "conditions" not in open_ones.settings
    assert not np.array_equal(open_ones.images.images, drawn.images.images)


@pytest.mark.slow
def test_a_run_of_captions_and_numbers_is_evaluated_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparison, "IMAGE_TEXT_STEPS", (30, 30))
    monkeypatch.setattr(number_reader, "STEPS", (30, 30))
    Path("photos").mkdir()
    rows = []
    for i in range(60):
        tone = ("dark", "light")[i % 2]
        picture = zoo.picture(1, i)[:8, :8] // 4 + 120 * (i % 2)
        Path(f"photos/{i}.png").write_bytes(zoo.png(picture, 8, 0))
        row = {"file_name": f"{i}.png", "text": f"a {tone} cat {i % 4}", "age": i % 5 + i / 60}
        rows.append(json.dumps(row))
    Path("photos/metadata.jsonl").write_text("\n".join(rows))
    train = "train photos --text --numbers age --steps 2 --network mlp --batch-size 8 --threads 1"
    assert main([*train.split(), "--holdout", "0.3", "--out", "run", "--bare", "--quiet"]) == 0
    words = "run --n 20 --features pixels --threads 1 --steps 2".split()
    assert main(["evaluate", *words, "--metrics", "fd", "--out", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("drawn with the captions and age of photos") for line in lines)
    assert "prompt_top1 by chance: 0.25, of 4 captions" in lines
    assert any(line.startswith("mean error of age: ") and "real images" in line for line in lines)
    found = json.loads(Path("found.json").read_text())
    swap = found["metrics"]["prompt_swap"]
    assert (swap["n"], swap["chance"]) == (20, 0.5) and 0 <= swap["before"] <= 1
    assert any(
        line.startswith("prompt_swap by chance: 0.5; nearer to the new prompt: ") for line in lines
    )
    assert {"prompt_top1", "number_error"} <= set(found["metrics"])
    curve = ["curve", "run", "--n", "20", "--features", "pixels", "--metrics", "fd"]
    assert main([*curve, "--guidance", "1,3", "--threads", "1", "--quiet"]) == 0
    score = [
        "likelihood",
        "run",
        "-n",
        "4",
        "--points",
        "4",
        "--threads",
        "1",
        "--out",
        "bits.json",
    ]
    capsys.readouterr()
    assert main(score) == 0
    assert "without a label, given their caption and numbers" in capsys.readouterr().out
    assert json.loads(Path("bits.json").read_text())["given"] == ["text", "numbers"]
    along = json.loads(Path("run/evaluation/guidance.json").read_text())
    assert along["metrics"] == ["fd", "prompt_top1", "number_error"]  # 4 captions: no top 5
    assert set(along["best"]) == set(along["metrics"])


def test_the_likelihood_is_that_of_images_given_what_goes_with_them() -> None:
    model = small(text=TEXT, numbers=(AGE,), classes=())
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 1)).astype(np.uint8)
    request = LikelihoodRequest(BoundMethod(points=4), 256)
    given = Condition(
        {
            "text": Texts.single(["a dark cat", "a bee", "", "a light cat"]),
            "numbers": torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64),
        }
    )
    scored = model.likelihood(images, request, given=given).bits
    alone = [
        model.likelihood(images[i : i + 1], request, numbers=[i], given=given[i : i + 1]).bits[0]
        for i in range(4)
    ]
    np.testing.assert_allclose(scored, alone, rtol=1e-5)
    assert not np.allclose(scored, model.likelihood(images, request).bits, rtol=1e-6)
    labels = Condition({"labels": torch.zeros(4, dtype=torch.int64)})
    with pytest.raises(UsageError, match="labels are an argument of their own"):
        model.likelihood(images, request, given=labels)


def test_a_sampler_is_tuned_on_images_under_their_conditions() -> None:
    model = small(text=TEXT, numbers=(AGE,), classes=())
    given = Conditions(None, ("a dark cat", "a bee"), np.array([[1.0], [9.0]]), ("age",), "photos")
    denoise, noise = Source(model, 1.0, 0, given).bound(range(1, 4))
    other, same = Source(model, 1.0, 0).bound(range(1, 4))
    assert torch.equal(noise, same)  # the noise is named by the image alone
    t = torch.tensor(0.5, dtype=torch.float64)
    made = denoise(noise, t).x0
    assert not torch.allclose(made, other(noise, t).x0)
    asked = {"prompts": ["a bee", "a dark cat", "a bee"], "numbers": {"age": [9.0, 1.0, 9.0]}}
    with pytest.warns(OutOfRangeWarning):  # which tuning leaves out: the data's own are in range
        condition = model._given(Condition(), asked["prompts"], asked["numbers"], None, 3, 0)
    wanted = model.denoiser(noise, t, model.model.context(condition, 3)).x0
    torch.testing.assert_close(made, wanted)
