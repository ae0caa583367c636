"""Curves from beginning to end on a small pipeline: points, journal, pictures, and stops."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small
from tests.pipelines.test_learned import learned

import undrift
from undrift.cli.dispatch import Terminated, main
from undrift.errors import UsageError
from undrift.evaluation.curve import run
from undrift.evaluation.curve.best import best_scale, scale_differences
from undrift.files.lock import FileLock
from undrift.metrics import Comparison, Images, open_spaces
from undrift.results.curve import BestScale, GuidancePoint, PointMetric
from undrift.schema import to_plain

WORDS = ("curve", "model", "--reference", "real.npz", "--features", "pixels", "--n", "30")
SAMPLERS = ("--samplers", "euler,heun", "--nfe", "3,4,5")
POINTS = [("euler", 3), ("heun", 3), ("euler", 4), ("euler", 5), ("heun", 5)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    small().save_pretrained("model")
    draws = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = draws.integers(0, 120, (60, 6, 5, 1)) + 60 * labels[:, None, None, None]
    np.savez(
        "real.npz",
        images=images.astype(np.uint8),
        labels=labels,
        class_names=np.array(["ant", "bee", "cat"]),
    )
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """The points that are drawn to be measured, in order; pairs take theirs from the cache."""
    seen = []
    real = run.draw

    def draw(subject, pipeline, n, sampling, *rest):
        if rest[1] is not None:  # with a callback
            seen.append((sampling.sampler, sampling.steps))
        return real(subject, pipeline, n, sampling, *rest)

    monkeypatch.setattr(run, "draw", draw)
    return seen


def values(found):
    found = found if isinstance(found, dict) else to_plain(found)
    return {
        (cell["sampler"], cell["nfe"]): {m: entry["value"] for m, entry in cell["metrics"].items()}
        for cell in found["cells"]
    }


def test_points_table_files_and_the_same_numbers_as_evaluate(folder, capsys, drawn):
    assert main([*WORDS, *SAMPLERS, "--out", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: 5 points of 30 samples, euler, heun"
    assert "no heun at 4 evaluations: 2 steps cost 3, 3 cost 5" in lines
    assert any("600 network evaluations to make, about" in line for line in lines)
    assert "5 of 5 points: heun at 5" in lines
    assert sum("*" in line for line in lines) >= 3 and lines[-1].startswith("next: undrift sample")
    assert any(line.startswith("real images") for line in lines)

    found = json.loads((folder / "out" / "curve.json").read_text())
    assert [(cell["sampler"], cell["nfe"]) for cell in found["cells"]] == POINTS
    assert all(cell["seconds"] > 0 for cell in found["cells"])
    assert found["metrics"] == ["fd", "kid", "coverage"]
    assert found["floors"]["fd"] > 0 and "95 %" not in found["titles"]["fd"]
    assert [best["budget"] for best in found["best"]["fd"]] == [3, 4, 5]
    for best in found["best"]["fd"]:  # the difference of a pair is that of its values
        paired, second = best["difference"], best["runner_up"]
        assert paired["value"] == pytest.approx(best["value"] - second["value"], rel=1e-9)
        assert paired["low"] < paired["value"] < paired["high"]
    assert any("pair by pair -" in line for line in lines)
    with Image.open(folder / "out" / "curve.png") as picture:
        assert picture.mode in ("RGB", "RGBA") and picture.width > 1000
        assert np.asarray(picture)[0, 0, :3].tolist() == [255, 255, 255]

    alone = undrift.evaluate(
        "model",
        reference="real.npz",
        features="pixels",
        n=30,
        metrics=["fd", "kid", "coverage"],
        steps=3,
        sampler="heun",
    )
    for name, entry in alone.metrics.items():
        cell = found["cells"][POINTS.index(("heun", 5))]["metrics"][name]
        assert cell["value"] == pytest.approx(entry.value, rel=1e-9)
        assert cell["low"] == pytest.approx(entry.low, rel=1e-6)
        assert found["floors"][name] == pytest.approx(entry.floor, rel=1e-9)

    drawn.clear()
    assert main([*WORDS, "--samplers", "dpmpp_2m", "heun", "--nfe", "5", "--out", "out"]) == 0
    assert drawn == [("dpmpp_2m", 5)]  # heun's point is in the journal
    assert "1 of them were measured before" in capsys.readouterr().out
    main([*WORDS, "--samplers", "heun", "--nfe", "5", "--out", "out", "--seed", "1"])
    assert drawn[1:] == [("heun", 3)]  # another seed, another point


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (Terminated(signal.SIGTERM), 75)]
)
def test_a_stop_keeps_the_points_and_the_same_command_goes_on(
    folder, capsys, monkeypatch, drawn, error, code
):
    whole = undrift.curve(
        "model",
        samplers=["euler", "heun"],
        nfe=[3, 4, 5],
        n=30,
        reference="real.npz",
        features="pixels",
        out="whole",
    )
    drawn.clear()
    with monkeypatch.context() as patch:
        inner = run.draw

        def draw(*arguments):
            if len(drawn) == 2:
                raise error
            return inner(*arguments)

        patch.setattr(run, "draw", draw)
        assert main([*WORDS, *SAMPLERS, "--out", "cut"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert "after 2 of 5 points; the same command goes on" in line
    assert not (folder / "cut" / "curve.json").exists()
    drawn.clear()
    assert main([*WORDS, *SAMPLERS, "--out", "cut"]) == 0
    assert drawn == [("euler", 4), ("euler", 5), ("heun", 3)]
    cut = json.loads((folder / "cut" / "curve.json").read_text())
    assert values(cut) == values(whole)


def test_a_damaged_point_is_measured_again(folder, drawn):
    few = [*WORDS, "--samplers", "euler", "--nfe", "3,4", "--out", "out"]
    assert main(few) == 0
    (kept,) = (folder / "out" / "curve").rglob("euler-4.json")
    for damage in ("", "[]", '{"metrics": 3}', '{"metrics": {}, "sampler": "heun"}'):
        kept.write_text(damage)
        drawn.clear()
        assert main(few) == 0
        assert drawn == [("euler", 4)]


def test_metrics_and_guidance_of_ones_own(folder):
    found = undrift.curve(
        "model",
        samplers="dpmpp_2m",
        nfe=[4, 5, 6],
        n=30,
        metrics="precision",
        guidance=2.0,
        reference="real.npz",
        features="pixels",
        out="out",
        grid="log_snr",
    )
    assert [(cell.nfe, cell.steps) for cell in found.points] == [(4, 2), (6, 3)]
    assert found.best["precision"][0].difference is None
    assert found.skipped[0].nfe == 5 and found.best["precision"][0].runner_up is None
    assert (found.guidance, found.grid) == (2.0, "log_snr")


def test_samplers_that_were_learned_stand_beside_the_others(folder, drawn):
    pipeline = small()
    pipeline.learned = {3: learned(pipeline, 3), 5: learned(pipeline, 5, guidance=2.0)}
    pipeline.save_pretrained("model")
    words = ("--samplers", "learned,euler", "--nfe", "3,5", "--grid", "log_snr", "--out", "out")
    assert main([*WORDS, *words]) == 0
    assert drawn == [("learned", 3), ("euler", 3), ("euler", 5)]
    found = json.loads((folder / "out" / "curve.json").read_text())
    (missing,) = found["skipped"]
    assert (missing["sampler"], missing["nfe"]) == ("learned", 5)
    assert "this guidance" in missing["reason"]
    alone = undrift.evaluate(
        "model", reference="real.npz", features="pixels", n=30, metrics=["fd"], steps=3,
        sampler="learned",
    )  # fmt: skip
    ours = values(found)["learned", 3]["fd"]
    assert ours == pytest.approx(alone.metrics["fd"].value, rel=1e-9)
    assert ours != pytest.approx(values(found)["euler", 3]["fd"], rel=1e-3)
    assert found["best"]["fd"][0]["runner_up"] is not None  # one of the two, and the other


def test_a_stored_reference_serves_without_its_images(folder, capsys, drawn):
    few = ("--samplers", "euler", "--nfe", "3", "--n", "30", "--metrics", "fd,coverage")
    space = ("--features", "random")
    words = ("curve", "model", *few, "--reference", "real.npz", *space, "--out", "whole")
    assert main([*words]) == 0
    assert main(
        ["evaluate", "model", "--n", "30", "--steps", "3", "--reference", "real.npz", *space,
         "--metrics", "fd", "--save-reference", "real.safetensors", "--out", "x.json"]
    ) == 0  # fmt: skip
    (folder / "real.npz").unlink()
    words = ("curve", "model", *few, "--reference", "real.safetensors")
    assert main([*words, "--out", "stored"]) == 0
    whole, stored = (
        json.loads((folder / name / "curve.json").read_text()) for name in ("whole", "stored")
    )
    assert values(stored) == values(whole)
    assert stored["floors"]["fd"] == whole["floors"]["fd"]
    capsys.readouterr()
    drawn.clear()
    assert main([*words, "--features", "pixels", "--out", "stored"]) == 4
    assert "not of pixels" in capsys.readouterr().err
    assert main([*words, "--out", "stored"]) == 0
    assert drawn == []  # the point is in the journal


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("--samplers euler dpm9", "unknown sampler 'dpm9'"),
        ("--samplers euler dopri5", "'dopri5' is adaptive: dopri5 chooses its own steps"),
        ("--samplers euler,euler", "--samplers: euler is there twice"),
        ("--samplers euler ddim,euler", "--samplers: "),
        ("--samplers ,", "--samplers: wanted one or more"),
        ("--nfe 0", "--nfe 0: wanted a whole number of at least 1"),
        ("--nfe 5,x", "--nfe x: wanted a whole number"),
        ("--nfe 5 -3", "--nfe -3: "),
        ("--nfe 5,5", "--nfe: 5 is there twice"),
        ("--n 9", "--n 9: .*at least 10"),
        ("--metrics fdd", "unknown metric 'fdd'; did you mean 'fd'"),
        ("--metrics vendi", "--metrics vendi: it has no better and worse"),
        ("--samplers heun --nfe 4", "no point can be had: heun, 2 steps cost 3, 3 cost 5"),
        ("--samplers learned --nfe 4", "no point can be had: learned"),
        ("--grid square", "unknown grid"),
        ("--guidance nan", "--guidance .*nan.*: .*finite"),
        ("--guidance 1,2,2", "--guidance: 2.0 is there twice"),
        ("--guidance 1 2 --nfe 5", "--nfe: along several scales .* the steps are the model's own"),
        ("--guidance 1 2 --samplers euler,heun", "--samplers: along several scales"),
        ("--guidance 1 2 --samplers learned", "'learned' was learned at one guidance scale"),
        ("--ema 0.05", "--ema"),
        ("--seed -1", "--seed -1: "),
        ("--out real.npz", "--out real.npz: .*is a file"),
    ],
)
def test_misuse(folder, capsys, words, pattern):
    import re

    out = [] if "--out" in words else ["--out", "out"]
    assert main([*WORDS[:-2], *words.split(), *out]) == 2, capsys.readouterr().err
    printed = capsys.readouterr()
    if words == "--nfe 5 -3":
        return  # the parser's own refusal: it takes -3 for a flag
    (line,) = printed.err.splitlines()
    assert line.startswith("undrift: ") and re.search(pattern, line), line
    assert not (folder / "out").exists()


def test_what_is_no_diffusion_model(folder, capsys):
    assert main(["curve", "real.npz", "--out", "out"]) == 2
    assert "samples, not a model" in capsys.readouterr().err
    assert main(["curve", "absent", "--out", "out"]) == 4
    (folder / "gan").mkdir()
    (folder / "gan" / "config.json").write_text('{"kind": "gan"}')
    assert main(["curve", "gan", "--out", "out"]) == 4
    assert main(["curve", "model", "--reference", "real.npz"]) == 2
    assert "belongs to no run" in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(UsageError, match="^nfe 0"):
        undrift.curve("model", nfe=[0])


def test_a_second_curve_in_one_folder_is_told_who_writes(folder, capsys):
    (folder / "shared").mkdir()
    with FileLock(folder / "shared", ".curve.LOCK"):
        assert main([*WORDS, "--samplers", "euler", "--nfe", "3", "--out", "shared"]) == 2
    assert "shared is being written by another process" in capsys.readouterr().err
    assert not list((folder / "shared").iterdir())


def test_a_curve_along_guidance_names_the_best_scale(folder, capsys, drawn):
    words = [*WORDS, "--guidance", "3,0,1", "1.5", "--out", "out", "--metrics", "kid"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((folder / "out" / "guidance.json").read_text())
    assert [(cell["guidance"], cell["nfe"]) for cell in found["cells"]] == [
        (0.0, 4),
        (1.0, 4),
        (1.5, 8),
        (3.0, 8),
    ]
    assert (found["sampler"], found["steps"]) == ("dpmpp_2m", 4)
    assert found["metrics"] == ["kid", "label_accuracy"]  # of a model with classes
    for name, pick in (("kid", min), ("label_accuracy", max)):
        values = {cell["guidance"]: cell["metrics"][name]["value"] for cell in found["cells"]}
        best = found["best"][name]
        assert best["value"] == pick(values.values()) == values[best["guidance"]]
        assert best["guidance"] not in best["alike"]
        others = {one["guidance"]: one for one in best["differences"]}
        assert others.keys() == values.keys() - {best["guidance"]}
        for scale, one in others.items():
            assert one["value"] == pytest.approx(best["value"] - values[scale], abs=1e-9)
            assert one["low"] <= one["value"] <= one["high"]
    assert any("image by image it" in line for line in lines if line.startswith("best KID"))
    best = found["best"]["kid"]["guidance"]
    assert any(line.startswith("best KID") and f": guidance {best:g}" in line for line in lines)
    assert f"--guidance {best:g}" in lines[-1] or best == 1
    with Image.open(folder / "out" / "guidance.png") as picture:
        assert np.asarray(picture)[0, 0, :3].tolist() == [255, 255, 255]
    assert not (folder / "out" / "curve.json").exists()

    alone = undrift.evaluate(
        "model", reference="real.npz", features="pixels", n=30, metrics=["kid"], guidance=3.0
    )
    assert found["cells"][-1]["metrics"]["kid"]["value"] == pytest.approx(
        alone.metrics["kid"].value, rel=1e-9
    )
    drawn.clear()
    assert main([*words[:-1], "kid", "--guidance", "1", "2"]) == 0
    assert drawn == [("dpmpp_2m", 4)]  # scale 1 is in the journal


def test_scales_that_are_not_told_apart_are_named():
    def point(scale, value, half):
        metric = PointMetric(value, value - half, value + half, "fd")
        return GuidancePoint(guidance=scale, nfe=4, seconds=1.0, metrics={"fd": metric})

    cells = [point(1, 3.25, 0.5), point(2, 2.0, 0.5), point(3, 2.25, 0.5), point(4, 2.0, 0.25)]
    best = best_scale(cells, "fd", "lower")
    assert (best.guidance, best.value, best.alike) == (2, 2.0, (3, 4))
    assert best_scale(cells, "fd", "higher").guidance == 1
    assert best_scale(cells, "kid", "lower") is None


def test_the_best_scale_is_compared_with_the_others_image_by_image(folder):
    """Paired intervals are shorter than those of images of other noise; few images have none."""
    pipeline = undrift.load("model")
    labels = [i % 3 for i in range(40)]
    made = {scale: pipeline(40, guidance=scale, labels=labels).images for scale in (1.0, 1.25)}
    made[4.0] = pipeline(40, guidance=1.25, labels=labels, first=40).images  # unrelated noise
    with np.load("real.npz") as real:
        reference = Images(real["images"])
    extractor, _ = open_spaces(reference, "pixels")
    known = {"reference": reference, "training": None, "extractor": extractor, "classifier": None}
    first = Comparison(Images(made[1.0]), classes=(), seed=0, split="test", **known)
    compared = {scale: first.beside(Images(images)) for scale, images in made.items()}
    best = BestScale(value=0.0, low=None, high=None, guidance=1.25, alike=())
    found = scale_differences({"kid": best, "vendi": best}, compared)
    paired, apart = found["kid"].differences
    assert (paired.guidance, apart.guidance) == (1.0, 4.0) and not found["vendi"].differences
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)
    few = {scale: first.beside(Images(images[:5])) for scale, images in made.items()}
    assert scale_differences({"kid": best}, few) == {"kid": best}
