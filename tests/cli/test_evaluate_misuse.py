"""What `undrift evaluate` must not be fed: one line each, and before a sample is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from undrift.cli.dispatch import main
from undrift.evaluation import drawing
from undrift.metrics.features import inception

QUICKLY = ("--features", "random", "--metrics", "fd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits as data/train/, data/test/, test.npz and a.npz, references of data/, and a run."""
    folder = tmp_path_factory.mktemp("misuse")
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    labels = data.target.astype(np.int64)
    for split, start in (("train", 0), ("test", 60)):
        (folder / "data" / split).mkdir(parents=True)
        for i in range(start, start + 60 - start // 2):
            Image.fromarray(images[i, :, :, 0]).save(folder / "data" / split / f"{i:04d}.png")
    np.savez(folder / "test.npz", images=images[60:90][::-1])
    np.savez(folder / "a.npz", images=images[200:300], labels=labels[200:300])
    np.savez(folder / "other.npz", images=images[300:400], labels=labels[300:400])
    names = np.array(["zero", *"123456789"])
    np.savez(folder / "named.npz", images=images[:99], labels=labels[:99], class_names=names)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["train", "digits", "--steps", "3", "--network", "mlp", "--batch-size", "8"]
        words += ["--bare", "--out", "run", "--threads", "1", "--quiet"]
        assert main(words) == 0
        for target, reference, file in (
            ("a.npz", ["--reference", "data"], "data.safetensors"),
            ("a.npz", ["--reference", "other.npz"], "other.safetensors"),
            ("run", ["--n", "20", "--steps", "2"], "run.safetensors"),
        ):
            words = ["evaluate", target, *reference, *QUICKLY, "--save-reference", file]
            assert main(words) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def refused(capsys: Any, code: int, pattern: str, *words: str) -> None:
    capsys.readouterr()
    assert main(["evaluate", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ") and pattern in line, line


@pytest.mark.parametrize("reference", ["data", "data.safetensors"])
@pytest.mark.parametrize(
    ("target", "part"), [("test.npz", "test images of"), ("data", "images of")]
)
def test_a_reference_is_not_measured_against_itself(
    capsys: Any, reference: str, target: str, part: str
):
    # in another order, and as part of data that has splits
    words = (target, "--reference", reference, *QUICKLY)
    refused(capsys, 2, f"the samples are the {part} {reference} themselves", *words)


def test_other_data_and_other_classes_than_the_runs_are_refused(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object) -> None:
        raise AssertionError("samples were drawn")

    words = ("run", "--n", "20", "--steps", "2", "--metrics", "fd")
    assert main(["evaluate", *words, "--reference", "run.safetensors"]) == 0
    monkeypatch.setattr(drawing, "_draw_block", never)
    pattern = "other.safetensors holds features of other data"
    refused(capsys, 2, pattern, *words, "--seed", "1", "--reference", "other.safetensors")
    pattern = "run: its class '0' is not in named.npz"
    refused(capsys, 2, pattern, *words, "--seed", "1", "--reference", "named.npz")


@pytest.mark.parametrize(
    ("code", "pattern", "words"),
    [
        (4, "a.npz is no weight file, or damaged", "--features inception --feature-weights a.npz"),
        (4, "does not hold this network", "--features inception --feature-weights w.safetensors"),
        (2, "no weight file absent.pth", "--features inception --feature-weights absent.pth"),
        (2, "take no weight file", "--features domain --feature-weights a.npz"),
        (2, "download it from https://", "--features inception"),
        (4, "a.pt is no TorchScript file", "--features a.pt"),
    ],
)
def test_a_wrong_weight_file_is_refused_before_samples_are_drawn(
    capsys: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    pattern: str,
    words: str,
):
    def never(*_: object) -> None:
        raise AssertionError("samples were drawn")

    monkeypatch.setattr(drawing, "_draw_block", never)
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    Path("a.pt").write_bytes(Path("a.npz").read_bytes())
    Path("w.safetensors").write_bytes(Path("run.safetensors").read_bytes())
    refused(capsys, code, pattern, "run", "--n", "20", "--steps", "2", *words.split())


def test_another_file_in_the_place_of_the_standard_weights_is_refused(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / inception.FILE).write_bytes(b"other weights")
    words = ("a.npz", "--reference", "other.npz", "--features", "inception")
    refused(capsys, 4, "wanted 6726825d", *words)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("no cmmd: it is defined in CLIP's space", "run --n 20 --metrics cmmd"),
        ("no fd_infinity: 20 samples and 20 reference", "run --n 20 --metrics fd_infinity,cmmd"),
        ("no class_fd: the samples", "test.npz --reference other.npz --metrics class_fd"),
        ("--steps: a.npz holds samples that are there", "a.npz --reference other.npz --steps 5"),
        ("--guidance: a.npz", "a.npz --reference other.npz --against test.npz --guidance 2"),
        ("run: a model is no set of real images", "a.npz --reference run"),
        ("run/pipeline: a model is no set", "a.npz --reference run/pipeline"),
    ],
)
def test_what_would_say_nothing_is_refused_before_samples_are_drawn(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, pattern: str, words: str
):
    def never(*_: object) -> None:
        raise AssertionError("samples were drawn")

    monkeypatch.setattr(drawing, "_draw_block", never)
    refused(capsys, 2, pattern, *words.split(), "--features", "random")


def test_samples_that_were_drawn_can_be_the_reference_without_their_grid(
    capsys: Any, tmp_path: Path
):
    drawn, out = tmp_path / "drawn", tmp_path / "out.json"
    words = ["sample", "run", "-n", "30", "--steps", "2", "--out", str(drawn), "--quiet"]
    assert main(words) == 0
    words = ["a.npz", "--reference", str(drawn), *QUICKLY, "--out", str(out)]
    assert main(["evaluate", *words]) == 0
    assert f"next: undrift evaluate a.npz --reference {drawn} --against" in capsys.readouterr().out
    assert json.loads(out.read_text())["reference"]["available"] == 30
    refused(capsys, 2, "which have no splits", *words[:3], "--split", "test")
    refused(capsys, 2, "are the images of", str(drawn), "--reference", str(drawn), *QUICKLY)


def test_the_training_split_can_be_the_reference(tmp_path: Path):
    out = tmp_path / "out.json"
    words = ["run", "--n", "20", "--steps", "2", "--split", "train", "--features", "random"]
    assert main(["evaluate", *words, "--metrics", "memorization", "--out", str(out)]) == 0
    record = json.loads(out.read_text())["metrics"]["memorization"]
    assert record["threshold"] > 0  # each is compared with the others, not with itself


def test_closest_pairs_are_named_by_their_rows_in_the_file(tmp_path: Path):
    given = np.load("a.npz")["images"]
    mixed = np.concatenate([given, np.load("other.npz")["images"]])
    np.savez(tmp_path / "mixed.npz", images=mixed)
    words = [str(tmp_path / "mixed.npz"), "--reference", "other.npz", "--n", "90"]
    out = tmp_path / "out.json"
    words += ["--features", "random", "--metrics", "memorization", "--out", str(out)]
    assert main(["evaluate", *words]) == 0
    pairs = json.loads(out.read_text())["metrics"]["memorization"]["closest"]
    copies = [pair for pair in pairs if pair["distance"] == 0]
    assert len(copies) == 16
    assert all(pair["sample"] - pair["training"] == 100 for pair in copies)
