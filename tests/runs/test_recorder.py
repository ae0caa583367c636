"""What a run says of the time that is left."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tests.training.small import learner

import undrift
from undrift.conditioning import Number
from undrift.conditioning.text import TextSpec
from undrift.errors import DivergedError
from undrift.pipelines import SampleSpec
from undrift.runs import recorder
from undrift.runs.directory import RunDirectory
from undrift.runs.events import EventLog, read_events
from undrift.runs.log import RunLog
from undrift.training.learner import Progress
from undrift.training.loop import averaged_tensors
from undrift.wording import clock


@pytest.fixture
def now(monkeypatch) -> list[float]:
    """Seconds on the recorder's clock, which stands still until a test moves it."""
    seconds = [100.0]
    monkeypatch.setattr(recorder.time, "monotonic", lambda: seconds[0])
    return seconds


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    made = RunDirectory(tmp_path / "run")
    made.make()
    return made


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(shown) -> RunLog:
    return RunLog(Console(file=shown, width=200), None)


@pytest.mark.parametrize("resumed_at", [0, 300])
def test_time_left_is_that_of_all_steps_after_the_first(resumed_at, now, run, log, shown):
    """The first line comes after many steps: all make the pace, and what came before does not."""
    recording = recorder.Recorder(run, None, None, log)  # type: ignore[arg-type]
    now[0] += 6.0  # the judge gets ready
    for step in range(resumed_at + 1, resumed_at + 101):
        now[0] += 0.25
        recording.step(Progress(step, 1000, 64 * step, step / 1000))
    first = shown.getvalue().splitlines()[0]
    assert first.startswith(f"step {resumed_at + 16}/1000")
    left = clock((1000 - resumed_at - 16) * 0.25)
    assert first.endswith(f"elapsed 0:10, left {left}")


def test_the_first_looks_say_nothing_of_the_time_left(now, run, log, shown):
    """They come after few steps: of 16 seconds, 12 are not to be expected again and again."""
    with contextlib.closing(EventLog(run.events)) as events:
        recording = recorder.Recorder(run, events, None, log)  # type: ignore[arg-type]
        for step in range(1, 101):
            now[0] += 0.25
            recording.step(Progress(step, 1000, 64 * step, step / 1000))
            if step in (15, 80):
                for look in ("validation", "grid"):
                    now[0] += 6.0
                    recording.event(look, step=step)
    first, *_, last = shown.getvalue().splitlines()
    assert first.endswith(f"left {clock((1000 - 17) * 0.25)}")
    assert last.startswith("step 81/")
    pace = (65 * 0.25 + 12) / 65  # from step 16 on: the second looks are what looks cost
    assert last.endswith(f"left {clock((1000 - 81) * pace)}")


class Named(str):
    """A pipeline that draws, by its name."""

    purpose = ""


def test_a_grid_that_cannot_be_drawn_is_told_and_the_run_goes_on(run, log, shown, monkeypatch):

    def drawn(pipeline: str, held_out: object) -> Image.Image:
        if pipeline == "raw":
            raise DivergedError("decode: 64 of 64 values are not finite")
        return Image.new("L", (8, 8))

    monkeypatch.setattr(recorder, "grid_picture", drawn)
    with contextlib.closing(EventLog(run.events)) as events:
        recording = recorder.Recorder(run, events, None, log)  # type: ignore[arg-type]
        named = {name: Named(name) for name in ("raw", "ema")}
        recording.grid(Progress(7, 10, 70, 0.7), named)  # type: ignore[arg-type]
    assert "step 7: no grid of the raw weights: decode: 64 of 64" in shown.getvalue()
    assert [path.name for path in (run.path / "samples").iterdir()] == ["step_000007_ema.png"]
    assert f"step 7: new grid {run.path / 'samples' / 'step_000007_ema.png'}" in shown.getvalue()


def test_held_out_images_are_denoised_in_one_step_beside_each_grid(run, log, shown, monkeypatch):
    images = undrift.data.load("digits").split("validation")
    made = learner(images)
    monkeypatch.setattr(recorder, "grid_picture", lambda *_: Image.new("L", (8, 8)))
    with contextlib.closing(EventLog(run.events)) as events:
        recording = recorder.Recorder(run, events, made, log, held_out=images)
        for step in (7, 9):
            pipelines = {"ema": made.pipeline(), "raw": made.pipeline()}
            recording.grid(Progress(step, 10, 70, step / 10), pipelines)
    found = [event for event in read_events(run.events) if event.kind == "one_step"]
    assert [(event.step, event.weights) for event in found] == [(7, "ema"), (9, "ema")]
    seven, nine = ((run.path / event.text("file")).read_bytes() for event in found)
    assert seven == nine  # the same images, the same noise
    expected = made.one_step(made.pipeline(), images.images, images.condition())
    np.testing.assert_array_equal(Image.open(io.BytesIO(seven)), expected.picture())


def test_images_that_cannot_be_denoised_are_told_and_the_run_goes_on(run, log, shown, monkeypatch):
    images = undrift.data.load("digits").split("validation")
    made = learner(images)
    broken = {name: torch.full_like(t, float("nan")) for name, t in averaged_tensors(made).items()}
    monkeypatch.setattr(recorder, "grid_picture", lambda *_: Image.new("L", (8, 8)))
    with contextlib.closing(EventLog(run.events)) as events:
        recorder.Recorder(run, events, made, log, held_out=images).grid(
            Progress(7, 10, 70, 0.7), {"ema": made.pipeline(broken)}
        )
    assert "step 7: no denoised images: decode: " in shown.getvalue()


def test_the_clocks_of_the_bar_have_names(run, shown, now):
    terminal = RunLog(Console(file=shown, width=200, force_terminal=True), None)
    with recorder.Recorder(run, None, None, terminal) as recording:  # type: ignore[arg-type]
        now[0] += 1.0
        recording.step(Progress(1, 10, 64, 0.1))
    assert "elapsed" in shown.getvalue() and "left" in shown.getvalue()


def test_grids_of_a_model_of_texts_have_held_out_captions_that_it_reads_whole() -> None:
    digits = undrift.data.load("digits").split("test")
    spec = SampleSpec((1, 8, 8), text=TextSpec.fit(["a b", "a c"], most=0))
    texts = [(), ("a b", "x"), ("a b c d",), ("a c",)] * 25
    captioned = replace(digits, captions=tuple(texts[: len(digits)]))
    prompts = recorder.grid_prompts(spec, captioned, 7)
    assert prompts is not None and len(prompts) == 7 and set(prompts) == {"a b", "a c"}
    assert recorder.grid_prompts(spec, digits, 4) is None
    assert recorder.grid_prompts(SampleSpec((1, 8, 8)), captioned, 4) is None


def test_numbers_of_a_grid_are_those_of_held_out_images_in_order():
    digits = undrift.data.load("digits").split("validation")
    spec = SampleSpec((1, 8, 8), numbers=(Number("angle", 0.0, 1.0, -40.0, 50.0),))
    values = 3.0 * np.random.default_rng(0).permutation(len(digits))[:, None] - 100
    found = recorder.grid_numbers(spec, replace(digits, numbers=values), 5)
    assert found is not None and list(found) == ["angle"] and found["angle"][0] == -40
    assert found["angle"] == sorted(found["angle"]) and found["angle"][-1] == 50
    assert recorder.grid_numbers(spec, digits, 5) is None
    assert recorder.grid_numbers(SampleSpec((1, 8, 8)), replace(digits, numbers=values), 5) is None
