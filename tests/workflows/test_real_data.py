"""The whole journey on every kind of real data: one step, then samples, metrics and report."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from PIL import Image
from tests.data.real import real, some
from tests.data.zoo import build_zoo

import undrift
from undrift.metrics.features import fitting
from undrift.runs import recorder
from undrift.training.learners import diffusion
from undrift.workflows import closing, opening

sensitivity = importlib.import_module("undrift.metrics.sensitivity")  # beside a function so named


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few images of every kind: for features, validation, grids, metrics and what these see."""
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fitting, "_IMAGES_SEEN", 1000)
    monkeypatch.setattr(fitting, "_FEWEST_PASSES", 0.0)
    monkeypatch.setattr(sensitivity, "MOST", 40)
    monkeypatch.setattr(diffusion, "validation_count", lambda shape: 4)
    monkeypatch.setattr(closing, "FEWEST", 8)
    monkeypatch.setattr(closing, "PIXELS", 0)
    monkeypatch.setattr(closing, "VIEW_BYTES", 2**22)
    monkeypatch.setattr(closing, "MOST_HELD_OUT", 100)
    monkeypatch.setattr(opening, "SPECTRUM_IMAGES", 64)
    monkeypatch.setattr(recorder, "grid_shape", lambda spec: (2, 1))


def journey(source: Path, out: Path, shape: tuple[int, int, int], **settings: object) -> Path:
    run = undrift.train(source, out=out, steps=1, batch_size=4, threads=1, **settings)
    samples = undrift.Pipeline.from_pretrained(run.pipeline)(2, steps=2)
    assert samples.images.shape == (2, *shape)
    page = run.report.read_text(encoding="utf-8")
    assert page.count("data:image/") > 5
    with Image.open(run.directory / "grid.png") as grid:
        assert grid.width > 64
    first = json.loads((run.directory / "evaluation" / "first.json").read_text())
    assert first["metrics"]["fd"]["value"] > 0
    return run.directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fashion_mnist", (28, 28, 1)),
        ("clothing/train", (96, 96, 3)),
        ("nuclei/train/images", (128, 128, 3)),
        ("emoji", (72, 72, 4)),
    ],
)
def test_real_data(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    journey(some(real(name), tmp_path / "images", 300), tmp_path / "run", shape)


@pytest.mark.slow
def test_a_folder_of_every_awkward_kind(tmp_path: Path) -> None:
    zoo = build_zoo(tmp_path / "zoo", fillers=400)
    run = journey(tmp_path / "zoo", tmp_path / "run", (16, 16, 4), size=16, channels=4)
    data = json.loads((run / "data.json").read_text())
    assert len(data["set_aside"]) == len(zoo.bad)
