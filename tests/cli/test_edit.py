"""``undrift edit``: what it writes, what it measures, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_misuse import fails
from tests.pipelines.models import CLASSES, small
from tests.pipelines.test_gan import pipeline as gan
from tests.pipelines.test_prompts import TEXT

from undrift.cli.dispatch import main
from undrift.conditioning import MapSpec, Number
from undrift.metrics.conformal import scale_of
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.png import read_png
from undrift.version import __version__


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("edit")
    small().save_pretrained(made / "model")
    small(text=TEXT).save_pretrained(made / "texts")
    small(numbers=(Number("angle", 0.0, 1.0, -1.0, 1.0),)).save_pretrained(made / "numbers")
    gan("r3gan").save_pretrained(made / "gan")
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (10, 6, 5, 1)).astype(np.uint8)
    labels = {"labels": np.arange(10) % 3, "class_names": np.array(CLASSES)}
    np.savez(made / "data.npz", images=images, **labels)
    np.savez(made / "wide.npz", images=images.transpose(0, 2, 1, 3))
    return made


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UNDRIFT_CACHE", str(folder / "cache"))


def spied(monkeypatch):
    """What `Pipeline.edit` is called with, and what it returns, in order."""
    calls, real = [], DiffusionPipeline.edit

    def edit(self, images, **given):
        calls.append((images, given, real(self, images, **given)))
        return calls[-1][2]

    monkeypatch.setattr(DiffusionPipeline, "edit", edit)
    return calls


def test_images_are_varied(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["edit", "model", "data.npz", "--strength", "0.5", "-n", "3", "--variants", "2"]
    assert main([*words, "--labels", "given", "--steps", "4", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "data.npz: 3 of 10 images" in printed and "6 images in" in printed
    last = printed.rstrip().splitlines()[-1]
    assert last.startswith("next: undrift edit model data.npz") and "--strength 0.5" in last
    record = json.loads((out / "samples.json").read_text())
    assert record["n"] == 6 and record["nfe"] == 2 and record["settings"]["strength"] == 0.5
    assert [entry["class"] for entry in record["images"]] == [c for c in CLASSES for _ in range(2)]
    height, width = read_png(out / "000000.png").shape[:2]
    assert (height, width) == (6, 5)
    with Image.open(out / "beside.png") as picture:
        assert picture.width > 3 * 5


def test_nothing_changes_at_strength_0(tmp_path):
    words = ["edit", "model", "data.npz", "--strength", "0", "-n", "2", "--variants", "1"]
    assert main([*words, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    images = np.load("data.npz")["images"]
    np.testing.assert_array_equal(read_png(tmp_path / "out" / "000001.png"), images[1])


def test_measured_images_are_restored_and_compared(tmp_path, capsys):
    words = ["edit", "model", "data.npz", "--operator", "blur:1", "-n", "2", "--variants", "3"]
    more = ["--steps", "3", "--noise", "3", "--method", "pigdm"]
    assert main([*words, *more, "--measure", "--out", str(tmp_path / "a")]) == 0
    assert "PSNR to the images before the operator: one result" in capsys.readouterr().out
    assert main([*words, *more, "--out", str(tmp_path / "b")]) == 0  # as they are
    assert "PSNR" not in capsys.readouterr().out
    record = json.loads((tmp_path / "b" / "samples.json").read_text())
    assert record["settings"].items() >= {"operator": "blur:1", "noise": 3.0}.items()


@pytest.mark.parametrize(
    ("words", "code", "pattern"),
    [
        ("edit model data.npz", 2, "give one of --strength, as 0.6, --like, as 0.3, --operator"),
        ("edit model data.npz --like 1.5", 2, "like 1.5: give a share"),
        ("edit model data.npz --like 0.5 --sampler heun", 2, "its steps are Euler's"),
        ("edit model data.npz --mask left --strength 0.5", 2, "give one of"),
        ("edit model data.npz --mask left --iterations 3", 2, "--iterations: it belongs to --op"),
        ("edit model data.npz --operator blur:1 --method repaint", 2, "it belongs to --mask"),
        ("edit model data.npz --mask nowhere", 3, "no mask at"),
        ("edit model data.npz --strength 0.5 --interval 0.9", 2, "--interval: it belongs to --op"),
        ("edit model data.npz --operator blur:1 --interval 2 --measure", 2, "between 0 and 1"),
        ("edit model data.npz --operator blur:1 --interval 0.9 --variants 1", 2, "2 variants"),
        (
            "edit model data.npz --operator blur:1 --interval 0.9 --measure -n 4",
            2,
            "6 other held-out images, wanted at least 9",
        ),
        ("edit model --operator blur:1 --self-check 5", 2, "--self-check 5: .* at least 20"),
        ("edit model data.npz --operator blur:1 --self-check 20", 2, "without DATA"),
        ("edit model --operator blur:1 --self-check 20 --measure", 2, "--measure: it does not go"),
        (
            "edit model --operator blur:1 --self-check 20 --interval 0.9",
            2,
            "--interval: it does not",
        ),
        ("edit model --operator blur:1 --self-check 20 -n 9", 2, "--n: it does not go with --self"),
        ("edit model --operator blur:1 --self-check 20 --split test", 2, "--split: it does not go"),
        (
            "edit model --operator blur:1 --self-check 20 --labels given",
            2,
            "--labels given: the images of --self-check are the model's own and have none",
        ),
        ("edit gan --operator blur:1 --self-check 20", 2, "a GAN cannot edit images"),
        ("edit model data.npz --strength 0.5 --operator grey", 2, "give one of"),
        ("edit model data.npz --strength 2", 2, "strength 2.0: give a share"),
        ("edit model data.npz --strength 0.5 --noise 3", 2, "--noise: it belongs to --operator"),
        ("edit model data.npz --strength 0.5 --measure", 2, "--measure: it belongs to --operator"),
        ("edit model data.npz --operator sharpen", 2, "wanted blur:WIDTH"),
        ("edit model data.npz --operator downsample:4 --measure", 2, "not made of such blocks"),
        ("edit model data.npz --operator grey", 2, "red, green and blue"),
        ("edit model wide.npz --operator blur:1", 2, "makes images of 5x6 pixels"),
        ("edit model --strength 0.5", 2, "nothing tells its data|belongs to no run"),
        ("edit model data.npz --strength 0.5 --numbers age=3", 2, "age"),
        ("edit model data.npz --strength 0.5 --prompt red", 2, "prompt"),
        ("edit gan data.npz --strength 0.5", 2, "a GAN cannot edit images"),
        ("edit nothing data.npz --strength 0.5", 4, "no such run"),
        ("edit model nothing.npz --strength 0.5", 3, "nothing.npz"),
    ],
)
def test_what_it_refuses(words, code, pattern, capsys, tmp_path):
    fails(capsys, [*words.split(), "--out", str(tmp_path / "out")], code, pattern)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["moments", "diffpir", "repaint"])
def test_a_mask_takes_the_path_of_inpaint(tmp_path, capsys, method):
    words = f"model data.npz --mask left -n 2 --variants 2 --steps 4 --method {method}".split()
    assert main(["edit", *words, "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("next: undrift edit model data.npz")
    assert main(["inpaint", *words, "--out", str(tmp_path / "b"), "--quiet"]) == 0
    for name in ("000000.png", "000003.png", "beside.png"):
        assert np.array_equal(read_png(tmp_path / "a" / name), read_png(tmp_path / "b" / name))
    records = [json.loads((tmp_path / k / "samples.json").read_text()) for k in "ab"]
    assert records[0]["settings"] == records[1]["settings"]
    assert records[0]["command"].startswith("undrift edit")


def test_few_levels_are_restored(tmp_path, capsys, monkeypatch):
    calls = spied(monkeypatch)
    words = ["edit", "model", "data.npz", "--operator", "quantise:4", "-n", "2", "--measure"]
    more = ["--variants", "1", "--steps", "3", "--method", "ddnm", "--out", str(tmp_path / "a")]
    assert main([*words, *more]) == 0
    ((given, _, edited),) = calls
    truth = np.load("data.npz")["images"][:2].astype(float)
    assert set(np.unique(given)) <= {0, 85, 170, 255}
    assert np.abs(given - truth).max() <= 43
    apart = np.square(edited.images - truth).mean()
    psnr = f"{10 * np.log10(255**2 / apart):.2f} dB"
    line = f"PSNR to the images before the operator: one result {psnr}"
    assert line in capsys.readouterr().out


SCAN = """
def every_second_row(x):
    return x[..., ::2, :]
def slopes(x):
    return x[..., 1:] - x[..., :-1]
def two_views(x):
    return torch.cat([x, x[..., 1:, :].sum(-2, keepdim=True).expand_as(x)], 1)
"""


@pytest.mark.parametrize(
    ("operator", "measure"),
    [
        ("every_second_row", lambda x: x[:, ::2]),
        ("slopes", lambda x: x[:, :, 1:] - x[:, :, :-1]),
        ("two_views", lambda x: np.concatenate([x, 0 * x + x[:, 1:].sum(1, keepdims=True)], 3)),
    ],
)
def test_a_measurement_is_exact_and_shown_whatever_its_shape(
    operator, measure, folder, tmp_path, monkeypatch
):
    (folder / "scan.py").write_text(f"import torch\n{SCAN}")
    calls = spied(monkeypatch)
    words = f"edit model data.npz --measure --operator scan:{operator} -n 2 --variants 1".split()
    more = ["--steps", "2", "--method", "ddnm", "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*words, *more]) == 0
    ((given, _, _),) = calls
    seen = measure(np.load("data.npz")["images"][:2].astype(float))
    assert given.min() < 0 or given.max() > 255 or operator == "every_second_row"
    np.testing.assert_allclose(given, seen, atol=1e-3)
    rows, columns = np.arange(6) * seen.shape[1] // 6, np.arange(5) * seen.shape[2] // 5
    shown = seen.clip(0, 255).mean(3)[:, rows][:, :, columns].round()
    sheet = read_png(tmp_path / "out" / "beside.png")[..., 0]
    for image, top in zip(shown, (2, 64), strict=True):
        np.testing.assert_array_equal(sheet[top : top + 60 : 10, 2:52:10], image)


def test_a_method_is_tested_on_the_model_s_own_images(tmp_path, capsys):
    words = "edit model --operator blur:1 --noise 5 --self-check 20 --variants 3 --steps 3".split()
    assert main([*words, "--method", "ddnm", "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("self-calibration of ddnm: p = ")
    assert "(20 images of the model, 3 results of each)" in lines[0]
    assert sum(line.startswith("  ") for line in lines) == 4
    found = json.loads((tmp_path / "out" / "self-check.json").read_text())
    assert found["p_value"] < 1e-4 and found["settings"]["method"] == "ddnm"
    words = "edit model --mask left --self-check 20 --variants 3 --steps 3 --quiet".split()
    assert main([*words, "--out", str(tmp_path / "mask")]) == 0
    assert (tmp_path / "mask" / "self-check.json").is_file()


def test_a_self_check_says_what_it_tested_and_where(tmp_path, capsys):
    out = tmp_path / "out"
    words = "edit model --self-check 20 --variants 3 --steps 3 --method ddnm --seed 3".split()
    more = ["--operator", "blur:1", "--noise", "90", "--labels", "2", "--out", str(out)]
    assert main([*words, *more]) == 0
    printed = capsys.readouterr().out
    assert "warning: " in printed and "of the measured values are clipped" in printed
    found = json.loads((out / "self-check.json").read_text())
    assert found["version"] == __version__ and found["target"] == "model" and found["seed"] == 3
    assert found["weights"] == "ema" and found["command"].startswith("undrift edit model --self")
    assert found["settings"]["labels"] == [2] and "mask" not in found
    fails(capsys, [*words, *more], 2, "holds self-check.json already")
    (tmp_path / "file").touch()
    more[-1] = str(tmp_path / "file")
    fails(capsys, [*words, *more], 2, "is a file; name a folder that can be written")
    assert main([*words, "--mask", "left", "--out", str(tmp_path / "mask"), "--quiet"]) == 0
    found = json.loads((tmp_path / "mask" / "self-check.json").read_text())
    assert found["mask"] == "left" and "operator" not in found["settings"]


def test_variations_near_an_image(tmp_path, capsys):
    words = "edit model data.npz --like 0.2 -n 4 --variants 2 --steps 10".split()
    words += ["--labels", "bee", "--guidance", "60"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert record["settings"]["like"] == 0.2 and record["settings"]["sampler"] == "euler"
    missed = record["settings"]["inversion_error"]
    (line,) = (line for line in lines if "leads back to it" in line)
    assert line.endswith(f"within {missed:.2g} of 255 (root mean square, the worst image)")
    assert missed > 1 and any("warning: " in line and "give more --steps" in line for line in lines)
    words = "edit model data.npz --like 0 -n 2 --variants 1".split()
    assert main([*words, "--out", str(tmp_path / "same")]) == 0
    assert "leads back" not in capsys.readouterr().out
    images = np.load("data.npz")["images"]
    np.testing.assert_array_equal(read_png(tmp_path / "same" / "000001.png"), images[1])


BOUNDED = "--operator blur:1 --variants 3 --steps 3 --method ddnm --interval 0.8".split()


def test_bounds_of_a_mask_hold_for_what_is_filled_in(tmp_path, capsys):
    """Known pixels have no width and do not count: they would make any bounds look right."""
    words = "data.npz --mask left --variants 3 --steps 3 --method ddnm -n 3".split()
    bounded = ["model", *words, "--interval", "0.8"]
    assert main(["edit", *bounded, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "calibrated on 7 images of data.npz" in printed
    found = np.load(tmp_path / "out" / "spread.npz")
    images, left = np.load("data.npz")["images"], np.arange(5) < 2
    assert len({*found["rows"], *found["calibration_rows"]}) == 10
    rows = images[found["rows"]]
    assert (found["low"][:, :, ~left] == rows[:, :, ~left]).all()
    assert (found["high"] - found["low"])[:, :, left].min() > 1
    inside = ((rows >= found["low"]) & (rows <= found["high"]))[:, :, left]
    assert f"bounds of 80%: {inside.mean():.1%} of the pixels" in printed
    # the scale is that of the other images, restored with the next seed
    mask, others = np.tile(left, (6, 1)), images[found["calibration_rows"]]
    restored = small().inpaint(others, mask, variants=3, steps=3, seed=1, method="ddnm")
    each = restored.images.reshape(7, 3, 6, 5, 1)
    half = scale_of(others, each, 0.8, mask[..., None]) * (found["std"] + 1)
    high = np.clip(found["mean"] + half, 0, 255)
    np.testing.assert_allclose(found["high"][:, mask], high[:, mask], atol=1e-3)
    assert main(["inpaint", *bounded, "--out", str(tmp_path / "same"), "--quiet"]) == 0
    same = np.load(tmp_path / "same" / "spread.npz")
    assert all(np.array_equal(same[name], found[name]) for name in found)
    plain = ["inpaint", "gan", *words[:3], "--variants", "2", "-n", "2", "--iterations", "1"]
    assert main([*plain, "--out", str(tmp_path / "plain"), "--quiet"]) == 0
    assert set(np.load(tmp_path / "plain" / "spread.npz")) == {"mean", "std"}
    fails(
        capsys, ["inpaint", "model", *words[:3], "--interval", "0.9", "--variants", "1"], 2, "2 v"
    )


def test_mean_deviation_and_bounds_are_written(tmp_path, capsys, monkeypatch):
    calls = spied(monkeypatch)
    words = ["edit", "model", "data.npz", "--measure", "-n", "3", *BOUNDED]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "bounds of 80%: " in printed and "calibrated on 7 images of data.npz" in printed
    found = np.load(tmp_path / "out" / "spread.npz")
    made = np.stack([read_png(tmp_path / "out" / f"{i:06d}.png") for i in range(9)])
    each = made.reshape(3, 3, 6, 5, 1).astype(float)
    np.testing.assert_allclose(found["mean"], each.mean(1), atol=1e-3)
    np.testing.assert_allclose(found["std"], each.std(1, ddof=1), atol=1e-3)
    truth = np.load("data.npz")["images"][found["calibration_rows"]]
    scale = scale_of(truth, calls[0][2].images.reshape(7, 3, 6, 5, 1), 0.8)
    half = scale * (found["std"] + 1)
    np.testing.assert_allclose(found["low"], np.clip(found["mean"] - half, 0, 255), atol=1e-3)
    np.testing.assert_allclose(found["high"], np.clip(found["mean"] + half, 0, 255), atol=1e-3)
    with Image.open(tmp_path / "out" / "spread.png") as picture:
        assert picture.width > 4 * 5
    plain = [*words[:-2], "--out", str(tmp_path / "plain"), "--quiet"]
    assert main(plain) == 0
    assert set(np.load(tmp_path / "plain" / "spread.npz")) == {"mean", "std"}


@pytest.mark.parametrize(
    ("model", "words", "wanted"),
    [
        ("model", "--labels bee --guidance 2", {"labels": "bee", "guidance": 2.0}),
        ("model", "--labels given", {"labels": "given"}),
        ("texts", "--prompt red", {"prompts": ["red"]}),
        ("numbers", "--numbers angle=0.3", {"numbers": {"angle": [0.3]}}),
    ],
)
def test_bounds_are_calibrated_under_the_condition_of_the_edit(
    tmp_path, monkeypatch, model, words, wanted
):
    calls = spied(monkeypatch)
    more = ["--measure", "-n", "4", *BOUNDED, *words.split(), "--out", str(tmp_path / "out")]
    assert main(["edit", model, "data.npz", *more, "--quiet"]) == 0
    (_, calibration, restored), (_, editing, edited) = calls
    rows = np.load(tmp_path / "out" / "spread.npz")
    data = np.load("data.npz")
    for given, made, name in (
        (calibration, restored, "calibration_rows"),
        (editing, edited, "rows"),
    ):
        if wanted.get("labels") == "given":
            named = [CLASSES[k] for k in data["labels"][rows[name]]]
        else:
            named = (wanted.get("labels", "").split() * 10)[: len(rows[name])]
        if named:
            assert [CLASSES[k] for k in made.labels[::3]] == named
        assert all(given[key] == wanted[key] for key in wanted.keys() - {"labels"})
    apart = {"labels", "seed", "first", "on_progress"}
    assert {k: v for k, v in calibration.items() if k not in apart} == {
        k: v for k, v in editing.items() if k not in apart
    }


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("model", "--labels ant bee", "--labels: 2 values take turns"),
        ("model", "--labels ant,bee", "--labels: 2 values take turns"),
        ("model", "--labels all", "--labels: 3 values take turns"),
        ("texts", "--prompt red blue", "--prompt: 2 values take turns"),
        ("numbers", "--numbers angle=0.3,0.5", "--numbers: 2 values take turns"),
    ],
)
@pytest.mark.parametrize("task", ["--measure --operator blur:1", "--mask left"])
def test_conditions_that_take_turns_have_no_bounds(capsys, tmp_path, model, words, message, task):
    short = "--variants 2 --steps 1 --method ddnm --interval 0.5 -n 2"
    words = f"edit {model} data.npz {task} {short} {words}".split()
    fails(capsys, [*words, "--out", str(tmp_path / "out")], 2, message)
    assert not (tmp_path / "out").exists()


def test_bounds_are_calibrated_on_images_like_those_that_are_edited(tmp_path, monkeypatch, capsys):
    calls = spied(monkeypatch)
    images = np.full((30, 6, 5, 1), 20, np.uint8)
    images[:6, ::2] = 230  # of one class, as folders of classes are read
    np.savez("ordered.npz", images=images)
    words = ["edit", "model", "ordered.npz", "--measure", "-n", "6", *BOUNDED]
    for seed in ("0", "1"):
        assert main([*words, "--seed", seed, "--out", str(tmp_path / seed), "--quiet"]) == 0
    rows = [np.load(tmp_path / seed / "spread.npz") for seed in ("0", "1")]
    for one, kept in zip(rows, (calls[1], calls[3]), strict=True):
        assert len(one["rows"]) == 6 and len(one["calibration_rows"]) == 24  # all that are left
        assert len({*one["rows"], *one["calibration_rows"]}) == 30
        assert (one["calibration_rows"] < 6).any() and (one["rows"] >= 6).any()
        bright = kept[0].mean((1, 2, 3)) > 60
        assert (bright == (one["rows"] < 6)).all()
    assert not np.array_equal(rows[0]["rows"], rows[1]["rows"])
    assert main([*words[:6], *BOUNDED[:-2], "--out", str(tmp_path / "plain"), "--quiet"]) == 0
    assert (calls[-1][0].mean((1, 2, 3)) > 60).all()  # the first ones without bounds


def test_maps_are_read_and_bounds_beside_them_refused(folder, tmp_path, monkeypatch, capsys):
    mask = MapSpec("mask", (1, 6, 5), values=((0,), (9,)))
    small(maps=(mask,)).save_pretrained(tmp_path / "maps")
    picture = np.zeros((6, 5), np.uint8)
    picture[2:] = 9
    Image.fromarray(picture).save(tmp_path / "mask.png")
    calls = spied(monkeypatch)
    words = ["edit", str(tmp_path / "maps"), "data.npz", "--map", f"mask={tmp_path}/mask.png"]
    short = ["-n", "2", "--variants", "2", "--steps", "2", "--quiet"]
    assert main([*words, "--strength", "0.5", *short, "--out", str(tmp_path / "out")]) == 0
    assert np.array_equal(calls[0][1]["maps"]["mask"].squeeze(), picture)
    inpainted = [*words, "--mask", "left", *short, "--out", str(tmp_path / "inpainted")]
    assert main(inpainted) == 0
    fails(
        capsys,
        [*words, "--operator", "blur:1", "--interval", "0.5"],
        2,
        "whose maps --map does not give",
    )
    fails(
        capsys,
        ["edit", *words[1:2], *words[3:], "--mask", "left", "--self-check", "20"],
        2,
        "--map: it does not go with",
    )
    other = ["edit", "model", "data.npz", "--strength", "0.5", *words[3:]]
    fails(capsys, other, 2, "this model takes no maps")
