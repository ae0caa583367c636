"""Where commands write: never over what is not theirs, never outside, never two in one place."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small
from tests.report.fake_run import make_run

from undrift.cli.dispatch import main
from undrift.files.lock import FileLock

FILES = (
    "sample model --npz",
    "evaluate model --out",
    "evaluate model --save-reference",
    "likelihood model --out",
    "likelihood model --per-image",
    "tune-sampler model --out",
)
FOLDERS = (
    "train digits --out",
    "sample model --out",
    "inpaint model data.npz --mask center --out",
    "curve model --out",
    "compare digits --images 64 --out",
    "claims --preset smoke --out",
    "inspect digits --out",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small().save_pretrained("model")
    np.savez("data.npz", images=np.zeros((24, 6, 5, 1), np.uint8))
    return tmp_path


def refused(capsys: Any, code: int, words: Sequence[str]) -> str:
    capsys.readouterr()
    assert main(list(words)) == code, capsys.readouterr().err
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_no_output_goes_to_a_device_a_pipe_or_a_link(folder: Path, capsys: Any) -> None:
    os.mkfifo("pipe")
    Path("kept").write_bytes(b"precious")
    os.symlink("/dev/full", "link")
    os.symlink("kept", "to a file")
    before = {name: os.lstat(name) for name in ("/dev/null", "/dev/full", "pipe", "link", "kept")}
    for command in FILES:
        for place in ("/dev/null", "pipe", "link", "to a file"):
            line = refused(capsys, 2, [*command.split(), place])
            assert command.split()[-1] in line and "name a regular file" in line
    for command in FOLDERS:
        for place in ("/dev/null", "pipe", "link", "kept"):
            assert place in refused(capsys, 2, [*command.split(), place])
    for name, status in before.items():
        assert os.path.samestat(status, os.lstat(name)), name
    assert sorted(os.listdir()) == ["data.npz", "kept", "link", "model", "pipe", "to a file"]


def test_no_output_replaces_a_file_of_the_user_s_own(folder: Path, capsys: Any) -> None:
    Path("results.safetensors").write_bytes(b"precious")
    for command in FILES:
        line = refused(capsys, 2, [*command.split(), "results.safetensors"])
        assert "undrift did not write is there; remove it or name another" in line
    Path("mine").mkdir()
    names = ["000000.png", "beside.png", "curve.png", "data.json"]
    for name in names:
        Path("mine", name).write_bytes(b"precious")
    for command in FOLDERS:
        line = refused(capsys, 2, [*command.split(), "mine"])
        verb = command.split()[0]
        found = {"curve": "curve.png", "inspect": "data.json"}.get(verb, "000000.png")
        assert found in line, line
    assert sorted(os.listdir("mine")) == names
    assert {path.read_bytes() for path in Path("mine").iterdir()} == {b"precious"}


@pytest.mark.parametrize("place", ["x" * 256, "a\0b", "/proc/x"])
def test_places_that_cannot_be_are_one_line(folder: Path, capsys: Any, place: str) -> None:
    for command in (*FILES, *FOLDERS):
        line = refused(capsys, 2, [*command.split(), place])
        assert len(line) < 300 and "\0" not in line


FOLDERS_OF_A_RUN = ("samples", "checkpoints", "evaluation")


@pytest.mark.parametrize("name", ["LOCK", "log.txt", *FOLDERS_OF_A_RUN])
def test_no_command_writes_through_a_link_in_a_run(folder: Path, capsys: Any, name: str) -> None:
    make_run(Path("run"))
    Path("victim").mkdir()
    Path("victim/step-000001").mkdir()
    Path("victim/file").write_bytes(b"precious")
    entry = Path("run", name)
    shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
    entry.symlink_to("../victim" if name in FOLDERS_OF_A_RUN else "../victim/file")
    for command in (
        "train digits --out run",
        "train --config run/config.yaml --out run",
        "sample run -n 1",
        "inpaint run --mask center",
        "evaluate run",
        "likelihood run",
        "tune-sampler run",
        "curve run",
    ):
        line = refused(capsys, 4, command.split())
        assert f"run/{name}: a symbolic link" in line, (command, line)
    assert sorted(os.listdir("victim")) == ["file", "step-000001"]
    assert Path("victim/file").read_bytes() == b"precious"


def test_samples_are_not_drawn_into_a_link(folder: Path, capsys: Any) -> None:
    Path("samples").mkdir()
    Path("victim").mkdir()
    Path("samples/0-1").symlink_to("../victim")
    line = refused(capsys, 4, ["sample", "model", "-n", "1"])
    assert "samples/0-1: a symbolic link" in line and os.listdir("victim") == []


def together(*commands: Sequence[str]) -> list[int]:
    """Exit codes of commands that processes start at the same moment."""
    return forked(*((lambda words=words: main(list(words))) for words in commands))


def forked(*calls: Callable[[], int]) -> list[int]:
    barrier = multiprocessing.get_context("fork").Barrier(len(calls))
    children = []
    for call in calls:
        pid = os.fork()
        if not pid:
            barrier.wait()
            os._exit(call())
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def guidances(out: Path) -> set[float]:
    """Guidance of every image in a folder, and of its record."""
    record = json.loads((out / "samples.json").read_text())
    texts = [Image.open(path).text["settings"] for path in out.glob("0*.png")]  # type: ignore[attr-defined]
    assert len(texts) == record["finished"] == record["n"] and not record["interrupted"]
    return {json.loads(text)["guidance"] for text in texts} | {record["settings"]["guidance"]}


def test_two_requests_have_folders_of_their_own_or_one_is_refused(folder: Path) -> None:
    words = ["sample", "model", "-n", "12", "--batch-size", "2", "--steps", "4", "--quiet"]
    one, six = [*words, "--guidance", "1"], [*words, "--guidance", "6"]
    assert together(one, six) == [0, 0]
    folders = sorted(Path("samples").iterdir())
    assert sorted(map(sorted, map(guidances, folders))) == [[1.0], [6.0]]
    for k in range(2):
        out = Path(f"out-{k}")
        codes = together([*one, "--out", str(out)], [*six, "--out", str(out)])
        assert sorted(codes) == [0, 2]
        assert guidances(out) == {1.0 if codes[0] == 0 else 6.0}
        assert "LOCK" not in os.listdir(out)


def test_the_same_request_has_the_same_folder(folder: Path, capsys: Any) -> None:
    words = ["sample", "model", "-n", "1", "--steps", "2", "--quiet"]
    assert main(words) == 0
    assert "samples.json already" in refused(capsys, 2, words)
    assert "samples.json already" in refused(capsys, 2, [*words, "--batch-size", "1"])
    assert main([*words, "--labels", "cat"]) == 0
    assert len(os.listdir("samples")) == 2


def test_two_tunings_of_one_pipeline(folder: Path, capsys: Any) -> None:
    with FileLock(folder, ".model.LOCK"):
        line = refused(capsys, 2, ["tune-sampler", "model", "--steps", "3", "--samples", "32"])
    assert "is being written by another process" in line and f'"pid": {os.getpid()}' in line
    make_run(Path("run"))
    shutil.copytree("model", "run/pipeline")
    with FileLock("run"):
        line = refused(capsys, 2, ["tune-sampler", "run", "--steps", "3", "--samples", "32"])
    assert "run is being written by another process" in line


@pytest.mark.slow
def test_runs_that_start_together_have_names_of_their_own(folder: Path) -> None:
    words = [
        "train",
        "digits",
        "--steps",
        "1",
        "--bare",
        "--threads",
        "1",
        "--quiet",
        "--network",
        "mlp",
        "--seed",
    ]
    assert together(*([*words, str(seed)] for seed in range(3))) == [0, 0, 0]
    runs = sorted(path for path in Path("runs").iterdir() if not path.is_symlink())
    assert len(runs) == 3 and all((run / "pipeline").is_dir() for run in runs)
    assert Path(os.readlink("runs/latest")).name in {run.name for run in runs}
