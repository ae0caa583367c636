"""``undrift train --method classifier``, and the commands that take such a run or refuse it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from undrift.cli.dispatch import main

TRAIN = "train few.npz --threads 1 --batch-size 16 --parameters 20k --steps 1 --quiet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """few.npz, a classifier of it, and an unconditional model of it."""
    folder = tmp_path_factory.mktemp("classifier")
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = np.clip(random.normal(80 + 90 * labels[:, None, None], 30, (60, 8, 8)), 0, 255)
    names = np.array(["cat", "dog"])
    path = folder / "few.npz"
    np.savez(path, images=images.astype(np.uint8)[..., None], labels=labels, class_names=names)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN.split(), "--method", "classifier", "--out", "read"]) == 0
        assert main([*TRAIN.split(), "--unconditional", "--bare", "--out", "plain"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_run_says_how_well_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    page, log = Path("read/report.html").read_text(), Path("read/log.txt").read_text()
    assert "A noise-aware classifier of 8 × 8 grey images in 2 classes" in page
    assert "Accuracy on held-out images" in page and "In the end it named" in page
    assert "accuracy on held-out images by noise over signal: " in log
    assert not Path("read/samples").exists() and not Path("read/grid.png").exists()
    assert main(["runs", "show", "read"]) == 0
    printed = capsys.readouterr().out
    assert "accuracy (ema)" in printed
    assert printed.splitlines()[-1] == "next: undrift sample RUN --classifier read"
    assert (
        main([*TRAIN.replace(" --quiet", "").split(), "--method", "classifier", "--out", "read"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "finished; nothing to do" in printed
    assert printed.splitlines()[-1] == "next: undrift sample RUN --threads 1 --classifier read"


def test_samples_are_guided_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = "sample plain -n 2 --steps 3 --classifier read --labels dog".split()
    assert main([*words, "--classifier-scale", "2", "--out", "dogs"]) == 0
    found = json.loads(Path("dogs/samples.json").read_text())
    assert found["settings"]["classifier_scale"] == 2.0 and found["settings"]["labels"] == ["dog"]
    assert found["images"][0]["label"] == 1 and found["nfe"] == 6  # each step asks it, too
    capsys.readouterr()
    for flags, code, message in (
        ("--classifier plain", 2, "classifier: a diffusion model reads no classes"),
        ("--classifier nowhere", 4, "no such run"),
        ("--classifier read --labels bird", 2, "unknown label 'bird'"),
        ("--classifier-scale 2", 2, "--classifier-scale"),
        ("--classifier-scale nan", 2, "--classifier-scale"),
    ):
        assert main(["sample", "plain", "-n", "1", "--out", "none", *flags.split()]) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample read", "a classifier draws no images: it guides a diffusion model"),
        ("evaluate read", "a classifier draws no images"),
        ("evaluate plain --against read", "a classifier draws no images"),
        ("curve read", "a classifier draws no images"),
        ("likelihood read", "a classifier draws no images"),
        ("tune-sampler read", "only diffusion pipelines can be tuned"),
        ("distill read", "only diffusion models are distilled"),
        ("adapt read --lora 2", "adapters are for diffusion models"),
        ("inpaint read few.npz --mask left", "a classifier draws no images"),
        ("edit read few.npz --strength 0.5", "a classifier draws no images"),
        ("compare few.npz --methods diffusion,classifier --images 64 --out x", "no images"),
        ("train ring8 --method classifier", "toy 2-D data"),
        ("train few.npz --method classifier --network mlp", "--network mlp"),
        ("train few.npz --method classifier --evaluate-every 1", "--evaluate-every"),
        ("train few.npz --method classifier --label-dropout 0.1", "--label-dropout"),
    ],
)
def test_what_it_is_not_for(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line, line
    assert not Path("x").exists()


def test_it_needs_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("train few.npz --method classifier --unconditional".split()) == 2
    assert "it learns the classes of the images" in capsys.readouterr().err
