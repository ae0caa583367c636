"""What samples are in Python: saved, as pictures, in a notebook, on one line."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small

from undrift.errors import UsageError
from undrift.pipelines import Samples


def samples(count: int = 3, channels: int = 1, **settings: object) -> Samples:
    images = np.arange(count * 20 * channels, dtype=np.uint8).reshape(count, 4, 5, channels)
    return Samples(images, None, (), 2.0, 0.5, {"n": count, **settings})


def test_saved_samples_are_those_of_the_command(tmp_path):
    made = small()(4, labels=["cat", "ant"], seed=5, steps=2)
    assert made.save(tmp_path / "out", npz=tmp_path / "all.npz") == tmp_path / "out"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*(f"{i:06d}.png" for i in range(4)), "grid.png", "samples.json"}
    record = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert record["command"].startswith("pipeline(n=4, first=0, labels=['cat', 'ant'], seed=5,")
    assert record["images"][1] == {"file": "000001.png", "label": 0, "class": "ant"}
    assert (np.array(Image.open(tmp_path / "out" / "000002.png")) == made.images[2, :, :, 0]).all()
    assert (np.load(tmp_path / "all.npz")["images"] == made.images).all()
    with pytest.raises(UsageError, match="give another directory"):
        made.save(tmp_path / "out")
    with pytest.raises(UsageError, match=r"directory '': wanted a path"):
        made.save("")


def test_fills_say_that_they_are(tmp_path):
    images = np.zeros((2, 6, 5, 1), np.uint8)
    made = small().inpaint(images, np.ones((6, 5), bool), steps=1, variants=2)
    record = json.loads((made.save(tmp_path / "out") / "samples.json").read_text())
    assert record["command"].startswith("pipeline.inpaint(images, mask, n=2,")
    assert len(record["images"]) == 4


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_pictures(channels, mode):
    made = samples(channels=channels)
    pictures = made.pil()
    assert [(picture.mode, picture.size) for picture in pictures] == [(mode, (5, 4))] * 3
    for picture, image in zip(pictures, made.images, strict=True):
        assert (np.array(picture).reshape(image.shape) == image).all()


def test_a_notebook_shows_the_grid():
    made = samples(4)
    shown = Image.open(io.BytesIO(made._repr_png_()))
    assert (np.array(shown) == np.array(made.grid())).all()


def test_one_short_line():
    assert repr(samples()) == "<Samples: 3 images of 5x4, 1 channel, 2 evaluations each, 0.50 s>"
    many = tuple(f"class number {i}" for i in range(400))
    made = Samples(np.zeros((400, 2, 2, 3), np.uint8), np.arange(400), many, 1.0, 0.0, {})
    assert len(repr(made)) < 150 and "\n" not in repr(made)
    followed = small()(3, steps=2, trajectory=2)
    assert repr(followed.trajectory) == "<Trajectory: 2 steps of 2 images>"
    assert repr(small()) == "<DiffusionPipeline: images of 5x6, 1 channel, 3 classes>"
