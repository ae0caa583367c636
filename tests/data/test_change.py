"""What is said of data that changed: counts and names of images, no fingerprints."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import undrift.data
from undrift.data.change import changed


def photos(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")


def report(folder):
    return undrift.data.load(folder).report


def stored(folder):
    """What ``data.json`` holds of it."""
    return json.loads(json.dumps(report(folder).to_json()))


def test_images_that_are_gone_and_new_are_counted_and_named(tmp_path):
    photos(tmp_path / "then", range(24))
    photos(tmp_path / "now", [*range(5, 24), 90])
    assert changed(stored(tmp_path / "then"), report(tmp_path / "now")) == (
        "24 images then, 20 now; 5 gone: 00.png, 01.png, 02.png and 2 more; 1 new: 90.png"
    )


def test_the_same_names_with_other_pixels(tmp_path):
    photos(tmp_path / "then", range(24))
    then = stored(tmp_path / "then")
    Image.new("RGB", (8, 8)).save(tmp_path / "then" / "03.png")
    assert changed(then, report(tmp_path / "then")) == (
        "24 images as then; other pixels, labels, captions or splits"
    )


def test_without_names_classes_and_splits_are_counted(tmp_path):
    for name in ("cat", "dog"):
        photos(tmp_path / "then" / name, range(12))
        photos(tmp_path / "now" / name, range(12 if name == "cat" else 10))
    then = stored(tmp_path / "then") | {"names": []}
    said = changed(then, report(tmp_path / "now"))
    assert said.startswith("24 images then, 22 now; of class dog 12 then, 10 now; for train ")
    assert changed({}, report(tmp_path / "now")) == "other pixels, labels, captions or splits"


def test_many_names_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(undrift.data.reporting, "MOST_NAMES", 23)
    photos(tmp_path / "photos", range(24))
    assert report(tmp_path / "photos").names == ()
    monkeypatch.setattr(undrift.data.reporting, "MOST_NAMES", 24)
    assert report(tmp_path / "photos").names == tuple(f"{i:02d}.png" for i in range(24))
    assert undrift.data.load("ring8").report.names == ()


@pytest.mark.parametrize("damage", [{"names": 3}, {"classes": 3}, {"count": "many"}])
def test_a_damaged_report_is_no_obstacle(tmp_path, damage):
    photos(tmp_path / "then", range(24))
    assert changed(stored(tmp_path / "then") | damage, report(tmp_path / "then"))
