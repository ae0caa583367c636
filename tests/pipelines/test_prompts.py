"""Prompts: from texts to images, to the record, and to errors that say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.pipelines.models import SMALL_MLP, SMALL_UNET, small

from undrift.conditioning.text import TextSpec
from undrift.errors import UsageError
from undrift.pipelines import DiffusionPipeline, Pipeline, SampleFolder

TEXT = TextSpec.fit(["a cat", "a red apple on a table", "a green book"], most=20)
SHORT, LONG = "a cat", "a red apple on a table"


@pytest.fixture(params=[SMALL_UNET, SMALL_MLP], ids=["unet", "mlp"])
def model(request: pytest.FixtureRequest) -> DiffusionPipeline:
    return small(classes=(), text=TEXT, config=request.param)


@pytest.fixture
def pipeline() -> DiffusionPipeline:
    return small(classes=(), text=TEXT)


def test_an_image_depends_on_its_prompt_and_on_no_other(model: DiffusionPipeline) -> None:
    alone = model(1, prompts=SHORT, seed=3).images[0].astype(int)
    together = model(3, prompts=[SHORT, LONG, ""], seed=3).images[0].astype(int)
    assert np.abs(alone - together).max() <= 1
    other = model(1, prompts=LONG, seed=3).images[0].astype(int)
    assert np.abs(alone - other).max() > 1


def test_prompts_take_turns_and_are_recorded(pipeline: DiffusionPipeline) -> None:
    samples = pipeline(3, prompts=[SHORT, LONG], first=1, guidance=2, negative="a book")
    assert samples.prompts == (LONG, SHORT, LONG)
    assert samples.settings["prompts"] == [SHORT, LONG]
    assert samples.settings["negative"] == "a book"
    settings = {name: value for name, value in samples.settings.items() if value is not None}
    assert np.array_equal(pipeline(**settings).images, samples.images)
    assert "prompts" not in pipeline(1).settings and "negative" not in pipeline(1).settings


def test_without_a_prompt_it_draws_what_an_empty_one_asks_for(pipeline: DiffusionPipeline) -> None:
    assert np.array_equal(pipeline(2).images, pipeline(2, prompts="").images)


def test_guidance_away_from_the_prompt_itself_changes_nothing(pipeline: DiffusionPipeline) -> None:
    plain = pipeline(2, prompts=SHORT).images
    same = pipeline(2, prompts=SHORT, negative=SHORT, guidance=5)
    assert np.abs(same.images.astype(int) - plain).max() <= 1 and same.nfe == 8
    for negative in (None, LONG):
        guided = pipeline(2, prompts=SHORT, negative=negative, guidance=5).images
        assert np.abs(guided.astype(int) - plain).max() > 1


def test_labels_and_prompts_go_together() -> None:
    model = small(text=TEXT)
    images = {
        (label, prompt): model(1, labels=label, prompts=prompt).images.tobytes()
        for label in ("ant", "bee")
        for prompt in (SHORT, LONG, None)
    }
    assert len(set(images.values())) == 6


def test_a_saved_pipeline_knows_its_vocabulary(pipeline: DiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "saved")
    again = Pipeline.from_pretrained(tmp_path / "saved")
    assert again.spec.text == TEXT
    drawn = again(2, prompts=[SHORT, LONG], guidance=2)
    assert np.array_equal(drawn.images, pipeline(2, prompts=[SHORT, LONG], guidance=2).images)


def test_a_record_holds_the_prompt_of_each_image(
    pipeline: DiffusionPipeline, tmp_path: Path
) -> None:
    for start in (0, 1):  # the second process goes on with the first one's images
        with SampleFolder(tmp_path / "out", "command", 3, "model") as folder:
            assert folder.finished == start
            folder.add(pipeline(1 + start, prompts=[SHORT, LONG], first=start))
            folder.close() if start else folder.interrupt()
    record = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert [entry["prompt"] for entry in record["images"]] == [SHORT, LONG, SHORT]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"prompts": []}, "an empty list"),
        ({"prompts": 3}, "prompts"),
        ({"prompts": "a cat " * 50}, r"tokens, and this model reads \d+.* shorten it"),
        ({"negative": "a cat " * 50, "guidance": 2}, "negative prompt"),
        ({"negative": "a cat", "prompts": "a book"}, "guidance 1 is off"),
        ({"guidance": 2}, "nothing to guide towards; give a prompt"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    pipeline: DiffusionPipeline, call: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pipeline(1, **call)


def test_a_model_without_captions_refuses_prompts() -> None:
    for call in ({"prompts": "a cat"}, {"negative": "a cat", "guidance": 2}):
        with pytest.raises(UsageError, match="'a cat': this model takes none"):
            small()(1, **call)
    with pytest.raises(UsageError, match="another text vocabulary"):
        made = small(text=TEXT)
        DiffusionPipeline(made.denoiser, made.encoder, made.codec, small().spec)


def test_fills_depend_on_the_prompt_of_their_image(pipeline: DiffusionPipeline) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 1), np.uint8)
    mask = np.zeros((6, 5), bool)
    mask[2:, 1:] = True
    both = pipeline.inpaint(images, mask, prompts=[SHORT, LONG], steps=3).images.astype(int)
    same = pipeline.inpaint(images, mask, prompts=SHORT, steps=3).images.astype(int)
    assert np.abs(both[0] - same[0]).max() <= 1 < np.abs(both[1] - same[1]).max()
