"""``undrift compare``: one line for each way to hold it wrong, a table, and real runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_misuse import fails
from tests.comparison.fake_executor import FakeExecutor
from tests.comparison.test_run import SPEED

from undrift.cli.dispatch import main
from undrift.comparison import run

WORDS = ("compare", "digits", "--out", "out", "--seeds", "2", "--n", "100", "--threads", "1")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "pattern"),
    [
        ("compare digits --out x", 2, "--budget 2m .*--images 200000"),
        ("compare digits --out x --budget never", 2, "--budget never: .*60s"),
        ("compare digits --out x --images 0", 2, "--images 0: "),
        ("compare digits --out x --images 9 --seeds 0", 2, "--seeds 0: "),
        ("compare digits --out x --images 9 --methods biggan", 2, "--methods biggan: wanted"),
        ("compare digits --out x --images 9 --metrics nothing", 2, "nothing"),
        ("compare digits --out x --images 9 --size 10", 2, "multiples of 4"),
        ("compare absent --out x --images 9", 3, "absent"),
        ("compare digits --out x --images 9 --holdout 1", 2, "--holdout 1"),
        ("compare digits --out x --images 9 --workers 99", 2, "--workers 99 .*cores"),
    ],
)
def test_misuse_is_one_line_and_leaves_nothing(words, code, pattern, capsys, folder):
    fails(capsys, words.split(), code, pattern)
    assert not (folder / "x" / "runs").exists()


def test_table_findings_remarks_and_what_is_next(capsys, monkeypatch):
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    executor = FakeExecutor({"r3gan-640images-0": 5})
    monkeypatch.setattr(run, "LocalExecutor", lambda workers: executor)
    assert main([*WORDS, "--images", "640", "--metrics", "fd,coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits: 4 runs, diffusion, r3gan, 2 seeds each"
    assert any(
        line.startswith("2 of 4 runs: r3gan-640images-0, diverged: no fini") for line in lines
    )
    assert any(line.startswith("diffusion    2 of 2") for line in lines)
    assert any("r3gan less diffusion in Fréchet distance +3" in line for line in lines)
    assert any(line.startswith("warning: r3gan, equal images") for line in lines)
    assert lines[-2].endswith("out/report.html")
    assert lines[-1].startswith("next: undrift sample out/runs/")


def test_ctrl_c_says_how_far_it_came_and_the_same_command_goes_on(capsys, monkeypatch):
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    monkeypatch.setattr(run, "write_page", lambda *_: None)
    seen = []

    def before(command):
        seen.append(command)
        if len(seen) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "LocalExecutor", lambda workers: FakeExecutor(before=before))
    words = [*WORDS, "--images", "640", "--metrics", "fd"]
    assert main(words) == 130
    assert capsys.readouterr().err == (
        "undrift: interrupted after 1 of 4 runs; the same command goes on\n"
    )
    assert main(words) == 0
    assert "1 of them were finished before" in capsys.readouterr().out


@pytest.mark.slow
def test_real_runs_of_a_model_its_student_and_a_gan_by_processes(capsys, folder):
    noise = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for i in range(40):
        pixels = np.clip(noise.normal(60 + 3 * i, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{i:02d}.png")
    words = ["compare", "photos", "--methods", "diffusion,consistency,dcgan", "--seeds", "1"]
    words += ["--images", "64", "--parameters", "20k", "--holdout", "0.25"]
    words += ["--evaluate-every", "2", "--evaluate-samples", "8", "--bare"]
    words += ["--batch-size", "16", "--n", "24", "--metrics", "fd", "--features", "pixels"]
    assert main([*words, "--threads", "1", "--out", "out"]) == 0, capsys.readouterr().err
    found = json.loads((folder / "out" / "report.json").read_text())
    for one in found["runs"]:
        assert one["state"] == "done" and one["health"] is not None, one
        assert one["metrics"]["fd"]["value"] > 0 and one["seconds"] > 0
        assert 0 < one["cpu_seconds"]
    images = {one["method"]: one["images"] for one in found["runs"]}
    assert images == {"diffusion": 64, "consistency": 96, "dcgan": 64}
    assert {one["method"]: one["nfe"] for one in found["runs"][1:]} == {
        "consistency": 2.0,
        "dcgan": 1.0,
    }
    for speed in found["speeds"]["images"].values():
        assert speed["flops"] > 0 and speed["single_ms"] > 0 and speed["batch_ms"] > 0
    assert "<svg" in (folder / "out" / "report.html").read_text()
    assert main([*words, "--threads", "1", "--out", "out"]) == 0  # nothing is repeated
    assert "3 of them were finished before" in capsys.readouterr().out
