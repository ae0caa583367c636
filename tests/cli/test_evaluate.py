"""``undrift evaluate``: sets of samples, runs, differences, resumption, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from undrift.cli.dispatch import main
from undrift.evaluation import drawing

PLAINLY = ("--features", "pixels", "--metrics", "fd")  # where nothing has to be fitted


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    return images[order], data.target.astype(np.int64)[order]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, digits: Any) -> Path:
    """a.npz and b.npz: 400 real digits each, b with noise; ref.npz: 400 others; small.npz: 5."""
    folder = tmp_path_factory.mktemp("sets")
    images, labels = digits
    noise = np.random.default_rng(1).normal(0, 40, images[:400].shape)
    noisy = np.clip(images[:400] + noise, 0, 255).astype(np.uint8)
    np.savez(folder / "a.npz", images=images[:400], labels=labels[:400])
    np.savez(folder / "b.npz", images=noisy, labels=labels[:400])
    np.savez(folder / "ref.npz", images=images[400:800], labels=labels[400:800])
    np.savez(folder / "bare.npz", images=images[:400, :, :, 0])
    np.savez(folder / "small.npz", images=images[:5], labels=labels[:5])
    np.savez(folder / "wide.npz", images=np.zeros((40, 8, 9, 1), np.uint8))
    np.savez(folder / "colour.npz", images=np.zeros((40, 8, 8, 3), np.uint8))
    names = np.array(["zero", *"123456789"])
    np.savez(folder / "named.npz", images=images[:400], labels=labels[:400], class_names=names)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "digits", "--steps", "30", "--network", "mlp", "--batch-size", "8", "--bare"]
    words += ["--out", str(run), "--threads", "1", "--quiet"]
    assert main(words) == 0
    return run


@pytest.fixture(autouse=True)
def inside(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sets)


def evaluated(tmp_path: Path, *words: object) -> dict[str, Any]:
    out = tmp_path / "out.json"
    assert main(["evaluate", *map(str, words), "--out", str(out)]) == 0
    return json.loads(out.read_text())


def refused(capsys: Any, code: int, pattern: str, *words: object) -> None:
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ") and pattern in line, line


def test_samples_against_a_reference(tmp_path: Path, capsys: Any):
    found = evaluated(tmp_path, "a.npz", "--reference", "ref.npz", "--n", "300")
    metrics = found["metrics"]
    for name in (
        *("fd", "kid", "precision", "recall", "density", "coverage"),
        *("label_accuracy", "memorization"),
    ):
        record = metrics[name]
        assert record["low"] <= record["value"] <= record["high"]
        # 100 of the 400 are left beside the reference, and none is unseen by the classifier
        floors = {"memorization"}
        assert (record["floor"] is not None) == (name in floors) and record["protocol"]
    assert found["samples"] == {"count": 300, "available": 400, "findings": None}
    assert (found["reference"]["count"], found["reference"]["available"]) == (300, 400)
    assert metrics["label_accuracy"]["value"] > 0.9
    printed = capsys.readouterr().out
    assert "a.npz: 300 of 400 samples" in printed
    assert "memorization" in printed and "next: undrift evaluate" in printed
    assert "not measured: 100 real images beside the reference, 300 samples" in printed


def test_the_same_command_gives_the_same_numbers(tmp_path: Path):
    words = ("a.npz", "--reference", "ref.npz", "--n", "200", "--metrics", "fd,kid,coverage")
    first, second = (evaluated(tmp_path, *words)["metrics"] for _ in range(2))
    for record in (*first.values(), *second.values()):
        record.pop("seconds")
    assert first == second and list(first) == ["fd", "kid", "coverage"]


def test_two_sets_are_compared_with_intervals(tmp_path: Path, capsys: Any):
    words = ("a.npz", "--against", "b.npz", "--reference", "ref.npz", "--metrics", "quick")
    found = evaluated(tmp_path, *words)
    assert found["differences"]["fd"]["high"] < 0  # real images are nearer than noisy ones
    assert found["differences"]["coverage"]["low"] > 0
    assert found["against"]["target"] == "b.npz"
    assert "a.npz less b.npz" in capsys.readouterr().out


def test_without_labels_the_rest_is_measured(tmp_path: Path):
    found = evaluated(tmp_path, "bare.npz", "--reference", "ref.npz", "--metrics", "quick")
    assert "label_accuracy" in found["missing"] and "fd" in found["metrics"]


def test_a_run_is_held_against_its_own_test_images_and_keeps_the_result(
    tmp_path: Path, trained: Path
):
    words = (trained, "--n", "60", "--steps", "3", "--features", "random")
    words += ("--metrics", "fd", "kid", "memorization")
    found = evaluated(tmp_path, *words)
    assert found["reference"]["split"] == "test" and found["sampling"]["steps"] == 3
    assert found["cost"]["nfe"] == 3
    (kept,) = (trained / "evaluation").glob("random-*.json")
    assert json.loads(kept.read_text()) == found
    bare = evaluated(tmp_path, trained / "pipeline", *words[1:])
    assert bare["metrics"]["fd"]["value"] == found["metrics"]["fd"]["value"]


def test_an_evaluation_that_was_cut_goes_on(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(drawing, "BLOCK", 20)
    drawn: list[int] = []
    real = drawing._draw_block

    def counted(pipeline: Any, folder: Path, start: int, *rest: Any) -> None:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(start)
        real(pipeline, folder, start, *rest)

    words = (trained, "--n", "60", "--steps", "2", "--seed", "7", *PLAINLY)
    monkeypatch.setattr(drawing, "_draw_block", counted)
    refused(capsys, 130, "interrupted with 40 of 60 samples kept; the same command", *words)
    drawn.clear()
    cut = evaluated(tmp_path, *words)
    assert drawn == [40]  # only the third block was still to be drawn
    monkeypatch.setattr(drawing, "_draw_block", real)
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    assert evaluated(tmp_path, *words)["metrics"]["fd"]["value"] == pytest.approx(
        cut["metrics"]["fd"]["value"], rel=1e-3
    )


def test_a_process_that_was_terminated_leaves_what_it_drew(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    words = ["evaluate", str(trained), "--n", "20000", "--steps", "2", *PLAINLY]
    process = subprocess.Popen(
        [sys.executable, "-m", "undrift", *words, "--threads", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    blocks = tmp_path / "cache" / "samples"
    while not list(blocks.glob("*/block-*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.terminate()
    _, told = process.communicate(timeout=600)
    assert process.returncode == 75, told
    assert len(told.splitlines()) == 1 and "of 20,000 samples kept; the same command" in told
    assert {path.name for path in blocks.glob("*/*")} >= {"block-00000000.npz"}
    started: list[int] = []
    real = drawing._draw_block

    def counted(pipeline: Any, folder: Path, start: int, *rest: Any) -> None:
        started.append(start)
        real(pipeline, folder, start, *rest)

    monkeypatch.setattr(drawing, "_draw_block", counted)
    words[words.index("20000")] = "260"
    assert main(words) == 0
    assert 0 not in started


def test_a_damaged_block_is_drawn_again(tmp_path: Path, trained: Path, monkeypatch: Any):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    words = (trained, "--n", "30", "--steps", "2", *PLAINLY)
    whole = evaluated(tmp_path, *words)["metrics"]["fd"]["value"]
    (block,) = (tmp_path / "cache" / "samples").glob("*/block-*.npz")
    block.write_bytes(block.read_bytes()[:-100])
    assert evaluated(tmp_path, *words)["metrics"]["fd"]["value"] == whole


@pytest.mark.parametrize(
    ("code", "pattern", "words"),
    [
        (2, "5 samples, wanted at least 10", "small.npz --reference ref.npz"),
        (2, "differ in size or channels", "wide.npz --reference ref.npz"),
        (2, "differ in size or channels", "colour.npz --reference ref.npz"),
        (2, "are the images of ref.npz themselves", "ref.npz --reference ref.npz"),
        (2, "name real images by --reference", "a.npz"),
        (2, "class 'zero' is not in ref.npz", "named.npz --reference ref.npz"),
        (2, "has no such images", "a.npz --reference ref.npz --split test"),
        (2, "unknown metric 'fdd'", "a.npz --reference ref.npz --metrics fdd"),
        (2, "--n 0", "a.npz --reference ref.npz --n 0"),
        (2, "no folder", "a.npz --reference ref.npz --out none/x.json"),
        (2, "--guidance nan", "a.npz --reference ref.npz --guidance nan"),
        (2, "need", "a.npz --reference ref.npz --ema 0.1"),
        (2, "unknown", "a.npz --reference ref.npz --features domein"),
        (3, "absent.npz", "absent.npz --reference ref.npz"),
        (3, "absent", "a.npz --reference absent"),
        (4, "no such run", "runs/absent"),
    ],
)
def test_wrong_use_is_one_line(capsys: Any, code: int, pattern: str, words: str):
    refused(capsys, code, pattern, *words.split())


def test_copies_inside_another_set_are_measured_not_refused(tmp_path: Path, digits: Any):
    images, labels = digits
    mixed = np.concatenate([images[:300], images[400:440]])
    np.savez(tmp_path / "mixed.npz", images=mixed, labels=np.r_[labels[:300], labels[400:440]])
    words = (tmp_path / "mixed.npz", "--reference", "ref.npz", "--features", "random")
    found = evaluated(tmp_path, *words, "--metrics", "memorization")
    assert found["metrics"]["memorization"]["flagged"]
    record = found["metrics"]["memorization"]
    assert record["exact"] == 40
    assert [pair["distance"] for pair in record["closest"]] == [0.0] * 16
    assert all(pair["sample"] - pair["training"] == 300 for pair in record["closest"])
    with Image.open(tmp_path / "out-closest.png") as picture:
        assert picture.size == (16 * 66 + 2, 2 * 66 + 2)


def test_damaged_data_under_a_run_is_noticed(tmp_path: Path, digits: Any, capsys: Any):
    data = tmp_path / "data.npz"
    np.savez(data, images=digits[0][:300], labels=digits[1][:300])
    run = tmp_path / "run"
    assert main(["train", str(data), "--steps", "1", "--bare", "--out", str(run), "--quiet"]) == 0
    np.savez(data, images=digits[0][300:600], labels=digits[1][300:600])
    refused(capsys, 2, "no longer holds the images", run, "--n", "20")


def test_of_a_reference_without_splits_enough_is_left_to_be_measured_as_samples(tmp_path: Path):
    few = (*PLAINLY, "--n", "120")
    found = evaluated(tmp_path, "a.npz", "--reference", "ref.npz", *few)
    assert found["reference"]["count"] == 120 and found["metrics"]["fd"]["floor"] is not None
    np.savez(tmp_path / "few.npz", images=np.load("a.npz")["images"][:150])
    found = evaluated(tmp_path, tmp_path / "few.npz", "--reference", "ref.npz", *PLAINLY)
    assert found["reference"]["count"] == 250  # 400 less 150, and not all
    assert found["metrics"]["fd"]["floor"] is not None
    words = ("--reference", "ref.npz", "--reference-n", "300", *PLAINLY)
    found = evaluated(tmp_path, tmp_path / "few.npz", *words)
    assert found["reference"]["count"] == 300 and found["metrics"]["fd"]["floor"] is None
    assert "at most 250 of them leaves enough" in found["metrics"]["fd"]["floor_missing"]
