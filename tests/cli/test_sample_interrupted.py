"""``undrift sample`` cut short: what it leaves, and that the same command goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small

from undrift.cli.dispatch import Terminated, main
from undrift.pipelines import DiffusionPipeline

N = 11


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save_pretrained("model")
    return tmp_path


def words(out, n=N, *more):
    asked = ["sample", "model", "-n", n, "--batch-size", 4, "--steps", 3, "--labels", "all"]
    return [str(word) for word in [*asked, "--out", out, *more]]


def stop_at(monkeypatch, image, error):
    """Let ``error`` rise in the step after ``image`` images are finished."""
    real = DiffusionPipeline.__call__

    def stopped(self, *args, **keywords):
        if keywords.get("first", 0) < image:
            return real(self, *args, **keywords)

        def on_progress(progress):
            raise error

        return real(self, *args, **keywords | {"on_progress": on_progress})

    monkeypatch.setattr(DiffusionPipeline, "__call__", stopped)


def pixels(folder, n=N):
    return np.stack([np.asarray(Image.open(folder / f"{i:06d}.png")) for i in range(n)])


@pytest.mark.parametrize(
    ("error", "code", "how"),
    [(KeyboardInterrupt, 130, "interrupted"), (Terminated(signal.SIGTERM), 75, "termin")],
)
def test_finished_images_stay_and_the_same_command_goes_on(
    model, monkeypatch, capsys, error, code, how
):
    assert main(words("whole", N, "--npz", "whole.npz")) == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 8, error)
        capsys.readouterr()
        assert main(words("cut", N, "--npz", "cut.npz")) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"undrift: {how}") and "8 of 11 images are finished, in cut" in line
    names = {f"{i:06d}.png" for i in range(8)} | {"grid.png", "samples.json"}
    assert {path.name for path in (model / "cut").iterdir()} == names
    assert not (model / "cut.npz").exists()
    record = json.loads((model / "cut" / "samples.json").read_text())
    assert (record["n"], record["finished"], record["interrupted"]) == (N, 8, True)
    assert [entry["file"] for entry in record["images"]] == sorted(names)[:8]
    assert record["settings"]["n"] == N

    assert main(shlex.split(record["command"])[1:]) == 0
    assert "8 of 11 images are there; going on" in capsys.readouterr().out
    assert (pixels(model / "cut") == pixels(model / "whole")).all()
    one, other = (np.load(f"{name}.npz") for name in ("whole", "cut"))
    for name in ("images", "labels", "class_names"):
        assert (one[name] == other[name]).all(), name
    before, after = (
        json.loads((model / name / "samples.json").read_text()) for name in ("whole", "cut")
    )
    assert not after["interrupted"] and after["finished"] == N and after["nfe"] == 3
    assert after["images"] == before["images"] and after["settings"] == before["settings"]
    assert (model / "cut" / "grid.png").read_bytes() != b""
    for i in (2, 9):
        texts = [Image.open(model / name / f"{i:06d}.png").text for name in ("whole", "cut")]
        for text in texts:
            text.pop("command")
        assert texts[0] == texts[1]
    assert main(words("cut")) == 2  # finished now


def test_stopped_twice_and_before_the_first_image(model, monkeypatch, capsys):
    for image, finished in ((0, 0), (4, 4), (8, 8)):
        with monkeypatch.context() as patch:
            stop_at(patch, image, KeyboardInterrupt)
            assert main(words("cut")) == 130
            assert f"{finished} of 11 images" in capsys.readouterr().err
            assert (model / "cut" / "samples.json").exists() == (finished > 0)
    with monkeypatch.context() as patch:  # a stop without a new image changes nothing
        stop_at(patch, 0, KeyboardInterrupt)
        before = (model / "cut" / "samples.json").read_bytes()
        assert main(words("cut")) == 130
        assert (model / "cut" / "samples.json").read_bytes() == before
    assert main(words("cut")) == 0 and main(words("whole")) == 0
    assert (pixels(model / "cut") == pixels(model / "whole")).all()


def test_stopped_while_the_record_is_written(model, monkeypatch):
    """All images are there; the same command only closes the folder."""
    from undrift.pipelines import folder

    real = folder.SampleFolder.close

    def close(self, npz=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder.SampleFolder, "close", close)
        assert main(words("cut")) == 130
    assert json.loads((model / "cut" / "samples.json").read_text())["finished"] == N
    assert main(words("cut", N, "--npz", "all.npz")) == 0
    assert len(np.load("all.npz")["images"]) == N
    assert real is folder.SampleFolder.close


def test_the_beginning_of_other_samples_is_not_gone_on_with(model, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 8, KeyboardInterrupt)
        main(words("cut"))
    kept = {path.name: path.read_bytes() for path in (model / "cut").iterdir()}
    capsys.readouterr()
    small(seed=1).save_pretrained("other")
    for wrong, told in (
        (words("cut", 12), "n 11, not 12"),
        (words("cut", N, "--seed", 1), "seed 0, not 1"),
        (words("cut", N, "--steps", 5), "steps 3, not 5"),
        (["sample", "other", *words("cut")[2:]], "of another model"),
    ):
        assert main(wrong) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line and "undrift sample model" in line, line
        assert {path.name: path.read_bytes() for path in (model / "cut").iterdir()} == kept
    (model / "cut" / "000003.png").write_bytes(b"")
    assert main(words("cut")) == 3
    assert "can't be read" in capsys.readouterr().err


def test_another_batch_size_may_go_on(model, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 8, KeyboardInterrupt)
        main(words("cut"))
    assert main(words("cut", N, "--batch-size", 2)) == 0
    assert main(words("whole")) == 0
    apart = pixels(model / "cut").astype(int) - pixels(model / "whole")
    assert np.abs(apart).max() <= 1


def test_evaluate_reads_what_is_finished(model, monkeypatch):
    from undrift.evaluation.target import open_target

    with monkeypatch.context() as patch:
        stop_at(patch, 8, KeyboardInterrupt)
        main(words("cut"))
    assert len(open_target("cut").given) == 8


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_real_process_and_a_real_signal(model, number, code):
    n = 3000
    process = subprocess.Popen(
        [sys.executable, "-m", "undrift", *words("cut", n, "--threads", 1)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a shell that starts tests in the background lets them ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (model / "cut" / "000007.png").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.kill(process.pid, number)
    _, told = process.communicate(timeout=600)
    assert process.returncode == code, told
    assert len(told.splitlines()) == 1 and "of 3,000 images are finished" in told
    record = json.loads((model / "cut" / "samples.json").read_text())
    finished = record["finished"]
    assert 8 <= finished < n and finished % 4 == 0 and len(record["images"]) == finished
    assert not list((model / "cut").rglob("*.partial"))
    for entry in record["images"]:
        Image.open(model / "cut" / entry["file"]).load()
    few = finished + 8
    samples = small()(few, labels="all", steps=3, batch_size=4)
    apart = pixels(model / "cut", finished).astype(int) - samples.images[:finished, ..., 0]
    assert np.abs(apart).max() <= 1
