"""Sizes of images as people give and read them: width first, squares by their side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from undrift.cli.dispatch import main
from undrift.errors import UsageError
from undrift.networks.gan.pyramid import sizes
from undrift.options.train import TrainOptions, image_size, stored_size
from undrift.runs.directory import RunDirectory
from undrift.runs.images import load_images
from undrift.runs.loading import load_pipeline
from undrift.runs.unfinished import configuration_of
from undrift.workflows.planning import find_start
from undrift.workflows.train import train_run


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Twelve pictures, 10 wide and 6 high, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (12, 6, 10, 3))):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    return "photos"


@pytest.mark.parametrize(
    ("size", "height", "width", "stored"),
    [(64, 64, 64, 64), ("64", 64, 64, 64), ("64x48", 48, 64, "64x48"), ("32x32", 32, 32, 32)],
)
def test_a_size_is_a_side_or_width_x_height(size, height, width, stored) -> None:
    assert image_size(size) == (height, width)
    assert stored_size(size) == stored


@pytest.mark.parametrize(
    "size", ["0", "-4", "64x", "x48", "64x0", "64x48x3", "big", "", 0, "9" * 99]
)
def test_what_is_no_size_is_refused(size) -> None:
    with pytest.raises(UsageError, match="width x height 64x48"):
        TrainOptions(size=size)


def test_rectangles_are_loaded_trained_stored_and_sampled(photos: str, capsys) -> None:
    settings = TrainOptions(size="8x4", steps=1, batch_size=4, network="mlp", bare=True)
    assert load_images(photos, settings).shape == (4, 8, 3)
    train_run(find_start(photos, settings, "run"), settings, console=Console(quiet=True))
    assert configuration_of(RunDirectory("run")).data.size == "8x4"
    assert load_pipeline("run")(2, steps=1).images.shape == (2, 4, 8, 3)
    assert main(["train", photos, "--size", "8x4", "--steps", "1", "--dry-run"]) == 0
    assert "images of 8x4x3" in capsys.readouterr().out


def test_inspect_says_width_first(photos: str, capsys) -> None:
    assert main(["inspect", photos]) == 0
    printed = capsys.readouterr().out
    assert "of 10x6, RGB" in printed and "10x6 12" in printed and "6x10" not in printed
    assert main(["inspect", photos, "--size", "4x8"]) == 0
    printed = capsys.readouterr().out
    assert "of 4x8, RGB" in printed and "resized and cropped to 4x8" in printed


@pytest.mark.parametrize(
    ("height", "width", "near"),
    [(37, 50, "48x36"), (13, 9, "8x12"), (50, 50, "48"), (1, 8, "8x4")],
)
def test_a_gan_names_the_nearest_size(height, width, near) -> None:
    with pytest.raises(UsageError, match=f"images of {width}x{height}: .* size {near}$"):
        sizes((height, width))
    assert sizes(image_size(near))
