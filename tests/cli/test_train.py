"""``undrift train`` and ``undrift runs`` as a user meets them; runs are tested elsewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from undrift.cli.dispatch import main
from undrift.workflows import closing

WORDS = ["train", "digits", "--steps", "3", "--network", "mlp", "--batch-size", "8"]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder in which ``undrift train`` has run once, and what it printed."""
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(closing, "FEWEST", 8)
        patch.setattr(closing, "PIXELS", 0)
        assert main(WORDS) == 0
    return folder


@pytest.fixture
def folder(workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    return workshop


def made(folder):
    (run,) = (path for path in (folder / "runs").iterdir() if not path.is_symlink())
    return run


def contents(folder):
    """Every file but the lock, which says who held it last."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "LOCK")
    return {path: path.read_bytes() for path in files}


def test_a_run_is_named_after_its_data_and_the_day(folder):
    assert re.fullmatch(r"digits-\d{8}-1", made(folder).name)
    assert os.readlink(folder / "runs" / "latest") == made(folder).name
    steps = [path.name for path in (made(folder) / "checkpoints").glob("step-*")]
    assert steps == ["step-000003"]


def test_the_same_command_again_changes_nothing(folder, capsys):
    run = made(folder).relative_to(folder)
    before = contents(folder)
    assert main([*WORDS, "--out", str(run)]) == 0
    printed = capsys.readouterr()
    assert "finished" in printed.out and printed.err == ""
    assert printed.out.splitlines()[-1] == f"next: undrift sample {run}"
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--seed", "1"], "training.seed was 0 and is now 1"),
        (["--flip"], "model.flip was False and is now True"),
        (["--steps", "4"], "training.steps was 3 and is now 4"),
        (["--holdout", "0.1"], "data."),
    ],
)
def test_other_settings_are_refused_by_name(folder, capsys, flags, named):
    run = made(folder)
    before = contents(folder)
    assert main([*WORDS, *flags, "--out", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ")
    assert named in line and " was " in line and " is now " in line
    assert contents(folder) == before


def test_print_config_is_yaml_and_starts_nothing(folder, capsys):
    before = contents(folder)
    assert main([*WORDS, "--print-config"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    stored = yaml.safe_load((made(folder) / "config.yaml").read_text())
    assert yaml.safe_load(printed.out) == stored
    assert main(["train", "--config", str(made(folder) / "config.yaml"), "--print-config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == stored
    assert contents(folder) == before


def test_dry_run_says_what_it_would_take_and_starts_nothing(folder, capsys):
    before = contents(folder)
    assert main([*WORDS, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["data"] == "1,537 training images of 8x8x1"
    assert int(facts["parameters"].replace(",", "")) > 1000
    assert facts["steps"] == "3"
    assert facts["memory"].endswith("MiB at its peak") and facts["time"].startswith("about")
    assert facts["time"].endswith("for evaluation and report")
    assert facts["expect"].startswith("noise: 3 steps of 8 are 24 images seen at 8x8; rough shapes")
    assert lines[-1] == "next: undrift " + " ".join(WORDS)
    assert contents(folder) == before


def test_runs_are_listed_and_shown(folder, capsys):
    run = made(folder).relative_to(folder)
    assert main(["runs", "list"]) == 0
    head, line, following = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "STATE", "STEP", "IMAGES", "STARTED"]
    assert line.split()[:4] == [str(run), "done", "3/3", "24"]
    assert following == f"next: undrift runs show {run}"
    assert main(["runs", "show", "runs/latest"]) == 0
    shown = capsys.readouterr().out
    for word in ("done", "3/3", "validation (ema)", "label accuracy", "report.html", "grid.png"):
        assert word in shown, word
    assert shown.splitlines()[-1] == "next: undrift sample runs/latest"


def test_an_empty_folder_of_runs_says_how_to_begin(tmp_path, capsys):
    assert main(["runs", "list", "--root", str(tmp_path)]) == 0
    line = f"next: undrift train digits --out {tmp_path / 'digits'}"
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_a_run_that_was_killed_is_shown_with_the_command_that_resumes_it(folder, tmp_path, capsys):
    run = tmp_path / "killed"
    run.mkdir()
    (run / "config.yaml").write_bytes((made(folder) / "config.yaml").read_bytes())
    status = {"state": "running", "step": 2, "steps": 3, "heartbeat": 1.0}
    (run / "status.json").write_text(json.dumps(status))
    assert main(["runs", "show", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("crashed" in line for line in lines)
    assert lines[-1] == f"next: undrift train {run}"


def test_the_latest_run_can_be_sampled(folder, tmp_path, capsys):
    out = str(tmp_path / "drawn")
    assert main(["sample", "runs/latest", "-n", "2", "--steps", "2", "--out", out]) == 0
    assert (tmp_path / "drawn" / "grid.png").exists()
    assert main(["sample", "runs/latest", "-n", "2", "--quiet"]) == 0
    assert (made(folder) / "samples" / "0-2" / "samples.json").exists()


def test_quiet_prints_nothing(folder, capsys):
    assert main([*WORDS, "--out", str(made(folder)), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == ""


def test_inspect_names_what_it_sets_aside_and_writes_nothing(tmp_path, monkeypatch, capsys):
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(5):
        picture = np.full((6, 6, 3), 40 * i, np.uint8)
        Image.fromarray(picture).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    before = contents(tmp_path)
    assert main(["inspect", "photos"]) == 0
    printed = capsys.readouterr()
    assert "broken.png" in printed.out and "empty.jpg" in printed.out and printed.err == ""
    assert "200" in printed.out
    (needs,) = [line for line in printed.out.splitlines() if line.startswith("needs ")]
    assert "images seen in training at 6x6, rough shapes about" in needs
    limit = "--bad-limit 0.29"  # two of seven cannot be used
    assert printed.out.splitlines()[-1] == f"next: undrift train photos {limit}"
    assert contents(tmp_path) == before
    wanted = "--size 4 --channels 1 --background '#ffffff' --holdout 0.5"
    assert main(["inspect", "photos", *shlex.split(wanted)]) == 0
    following = f"next: undrift train photos {wanted} {limit}"
    assert capsys.readouterr().out.splitlines()[-1] == following
    assert main(["inspect", "photos", "--out", "seen"]) == 0
    assert (tmp_path / "seen" / "data.json").exists()
    assert any(path.suffix == ".png" for path in (tmp_path / "seen").iterdir())
    capsys.readouterr()


def test_doctor_finds_torch(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("torch ") for line in lines)
    assert any(line.startswith("idle threads ") for line in lines)
    assert lines[-1] == "next: undrift demo"


@pytest.mark.slow
def test_a_real_process_without_a_terminal_prints_plain_whole_lines(workshop):
    source = str(Path(__file__).resolve().parents[2] / "src")
    run = str(made(workshop).relative_to(workshop))
    done = subprocess.run(
        [sys.executable, "-m", "undrift", *WORDS, "--out", run],
        cwd=workshop,
        env={**os.environ, "PYTHONPATH": source, "COLUMNS": "20"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "\x1b" not in done.stdout
    assert f"report  {run}/report.html" in done.stdout.splitlines()
