"""``undrift inpaint``: what it writes, what it keeps, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_misuse import fails
from tests.pipelines.models import CLASSES, small
from tests.pipelines.test_gan import pipeline as gan

from undrift.cli.dispatch import main
from undrift.pipelines.masks import NAMES, read_mask
from undrift.pipelines.png import read_png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("inpaint")
    small().save_pretrained(made / "model")
    gan("r3gan").save_pretrained(made / "gan")
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (10, 6, 5, 1)).astype(np.uint8)
    names = np.array(CLASSES)
    np.savez(made / "data.npz", images=images, labels=np.arange(10) % 3, class_names=names)
    np.savez(made / "plain.npz", images=images)
    colours = noise.integers(0, 256, (4, 8, 12, 3)).astype(np.uint8)
    np.savez(made / "colours.npz", images=colours)
    hole = np.zeros((6, 5), np.uint8)
    hole[2:4, 1:4] = 255
    Image.fromarray(hole).save(made / "hole.png")
    Image.fromarray(255 - hole).convert("RGB").save(made / "rest.png")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(made / "black.png")
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(made / "turned.png")
    (made / "broken.png").write_bytes(b"no picture")
    return made


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UNDRIFT_CACHE", str(folder / "cache"))


def fills(out, n, variants):
    files = [read_png(out / f"{i:06d}.png") for i in range(n * variants)]
    return np.stack(files).reshape(n, variants, *files[0].shape)


@pytest.mark.parametrize("mask", ["hole.png", "rest.png", "top"])
def test_white_is_painted_and_the_rest_stays(tmp_path, mask, capsys):
    out = tmp_path / "out"
    words = ["inpaint", "model", "data.npz", "--mask", mask, "-n", "4", "--variants", "2"]
    assert main([*words, "--steps", "4", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "data.npz: 4 of 10 images" in printed
    assert printed.rstrip().splitlines()[-1].startswith("next: undrift inpaint model data.npz")
    images = np.load("data.npz")["images"][:4]
    made = fills(out, 4, 2)
    hidden = read_mask(mask, 6, 5)
    for v in range(2):
        np.testing.assert_array_equal(made[:, v][:, ~hidden], images[:, ~hidden])
        assert (made[:, v][:, hidden] != images[:, hidden]).any()
    record = json.loads((out / "samples.json").read_text())
    assert record["n"] == 8 and record["nfe"] == 4 and record["settings"]["variants"] == 2
    assert record["settings"]["method"] == "moments" and record["command"].startswith("undrift inp")
    assert not record["interrupted"] and "class" not in record["images"][0]


def test_the_picture_shows_image_hole_and_fills(tmp_path):
    out = tmp_path / "out"
    words = ["inpaint", "model", "data.npz", "--mask", "hole.png", "-n", "3", "--variants", "2"]
    assert main([*words, "--steps", "2", "--out", str(out), "--quiet"]) == 0
    sheet = read_png(out / "beside.png")[..., 0]
    high, wide = 6 * 10 + 2, 5 * 10 + 2  # enlarged, and a gap
    images, made = np.load("data.npz")["images"], fills(out, 3, 2)
    for row in range(3):
        tiles = [
            sheet[row * high + 2 : (row + 1) * high : 10, k * wide + 2 : (k + 1) * wide : 10]
            for k in range(4)
        ]
        np.testing.assert_array_equal(tiles[0], images[row, ..., 0])
        hidden = read_mask("hole.png", 6, 5)
        np.testing.assert_array_equal(tiles[1], np.where(hidden, 128, images[row, ..., 0]))
        np.testing.assert_array_equal(tiles[2], made[row, 0, ..., 0])
        np.testing.assert_array_equal(tiles[3], made[row, 1, ..., 0])
    grid = read_png(out / "grid.png")  # a row for each image
    assert grid.shape[:2] == (3 * high + 2, 2 * wide + 2)


def test_labels_of_the_data_are_told_to_the_model(tmp_path):
    out = tmp_path / "out"
    words = ["inpaint", "model", "data.npz", "--mask", "left", "-n", "4", "--variants", "2"]
    words += ["--steps", "2", "--labels", "given", "--guidance", "2", "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    record = json.loads((out / "samples.json").read_text())
    assert [image["class"] for image in record["images"]] == [
        name for name in ("ant", "bee", "cat", "ant") for _ in range(2)
    ]
    assert record["nfe"] == 4


def test_a_gan_searches(tmp_path):
    out = tmp_path / "out"
    words = ["inpaint", "gan", "colours.npz", "--mask", "right", "--variants", "1"]
    assert main([*words, "--iterations", "2", "--out", str(out), "--quiet"]) == 0
    record = json.loads((out / "samples.json").read_text())
    assert record["settings"]["method"] == "inversion" and record["settings"]["iterations"] == 2
    assert len(record["images"]) == 4 and record["images"][0]["class"] in "abc"


def test_without_out_it_finds_a_place(folder):
    words = ["inpaint", "model", "data.npz", "--mask", "center", "-n", "2", "--seed", "5"]
    assert main([*words, "--steps", "1", "--quiet"]) == 0
    (place,) = (folder / "inpainted").iterdir()
    assert place.name.startswith("5-2-") and (place / "beside.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "pattern"),
    [
        ("model data.npz", 2, "--mask: say what to inpaint"),
        ("model data.npz --mask nowhere.png", 3, "no mask at 'nowhere.png'"),
        ("model data.npz --mask broken.png", 3, "cannot be read as a picture"),
        ("model data.npz --mask black.png", 2, "it is empty; white is what is inpainted"),
        ("model data.npz --mask turned.png", 2, "6x5 pixels, images of 5x6"),
        ("model data.npz --mask top -n 0", 2, "-n 0|--n 0"),
        ("model data.npz --mask top --variants 0", 2, "--variants 0"),
        ("model data.npz --mask top --labels", 2, "--labels: wanted one name"),
        ("model data.npz --mask top --labels dog", 2, "unknown label 'dog'"),
        ("model plain.npz --mask top --labels given", 2, "the data has none"),
        ("model data.npz --mask top --guidance 2", 2, "nothing to guide towards; give labels"),
        (
            "model data.npz --mask top --iterations 2",
            2,
            "a diffusion model has no such setting",
        ),
        ("model data.npz --mask top --jump 2", 2, "only repaint has it"),
        ("model data.npz --mask top --method repaint --jump 99", 2, "nothing would be repeated"),
        ("model data.npz --mask top --sampler dopri5", 2, "chooses its own steps"),
        ("model data.npz --mask top --split test", 2, "it has"),
        (
            "gan colours.npz --mask top --steps 2",
            2,
            "--steps 2: a GAN .*takes --iter",
        ),
        ("gan colours.npz --mask top --iterations 2 --seconds 1", 2, "exclude each other"),
        ("model --mask top", 2, "it belongs to no run"),
        ("model nothing.npz --mask top", 3, "nothing.npz"),
        ("nothing data.npz --mask top", 4, "no such run"),
        ("data.npz data.npz --mask top", 4, "a file, not a run"),
        ("model data.npz --mask top --out data.npz", 2, "--out data.npz"),
    ],
)
def test_what_it_refuses(words, code, pattern, capsys):
    fails(capsys, ["inpaint", *words.split()], code, pattern)


def test_it_writes_over_nothing(tmp_path, capsys):
    words = ["inpaint", "model", "data.npz", "--mask", "top", "-n", "2", "--steps", "1"]
    words += ["--out", str(tmp_path / "out")]
    assert main([*words, "--quiet"]) == 0
    fails(capsys, words, 2, "holds samples.json already")


def test_named_masks_are_halves():
    masks = {name: read_mask(name, 6, 8) for name in NAMES}
    assert masks["top"][:3].all() and not masks["top"][3:].any()
    assert masks["left"][:, :4].all() and not masks["left"][:, 4:].any()
    assert (masks["top"] ^ masks["bottom"]).all() and (masks["left"] ^ masks["right"]).all()
    assert masks["center"].sum() == 4 * 4 and masks["center"][1:5, 2:6].all()
