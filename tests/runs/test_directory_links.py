"""Run directories from elsewhere, and processes that start together: writes stay inside."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from rich.console import Console

from undrift.errors import ModelFileError, UndriftError
from undrift.files.lock import FileLock
from undrift.runs import directory
from undrift.runs.directory import RunDirectory, new_directory, open_run, point_latest
from undrift.runs.events import EventLog
from undrift.runs.log import RunLog

ENTRIES = ("LOCK", "log.txt", "metrics.jsonl", "status.json", "report.html", "config.yaml")
FOLDERS = ("samples", "ema", "checkpoints", "pipeline", "best", "evaluation", "inpainted")


def make_run(path: Path) -> RunDirectory:
    run = RunDirectory(path)
    run.make()
    run.write_text("config.yaml", "{}\n")
    return run


@pytest.mark.parametrize("name", [*ENTRIES, *FOLDERS])
def test_a_run_whose_entries_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("{}\n")
    target = tmp_path / "victim" if name in FOLDERS else tmp_path / "victim" / "file"
    for link_to in (target, tmp_path / "absent"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(link_to)
        if name != "config.yaml" or link_to == target:  # a link to nothing makes no run
            with pytest.raises(ModelFileError, match=f"{name}: a symbolic link"):
                open_run(run.path)
        with pytest.raises(ModelFileError, match=f"{name}: a symbolic link"):
            run.check()
    assert (tmp_path / "victim" / "file").read_text() == "{}\n"
    if name != "config.yaml":
        (run.path / name).unlink()
        (tmp_path / "link").symlink_to(run.path)
        open_run(tmp_path / "link")  # a run itself may be one, as runs/latest is


def test_links_in_a_folder_that_is_no_run_yet_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "LOCK").symlink_to(tmp_path / "victim")
    with pytest.raises(ModelFileError, match="LOCK: a symbolic link"):
        RunDirectory(tmp_path / "run").check()


@pytest.mark.parametrize("name", ["LOCK", "log.txt", "metrics.jsonl"])
def test_what_is_appended_to_is_no_link_and_no_pipe(tmp_path: Path, name: str) -> None:
    """Even if it has become one since the run was opened."""
    writers = {
        "LOCK": lambda path: FileLock(path.parent).acquire(),
        "log.txt": lambda path: RunLog(Console(quiet=True), path).say("line"),
        "metrics.jsonl": lambda path: EventLog(path).write("start", step=0),
    }
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = tmp_path / name
    path.symlink_to(victim)
    with pytest.raises((OSError, UndriftError), match="regular file"):
        writers[name](path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises((OSError, UndriftError), match="regular file"):
        writers[name](path)
    assert victim.read_bytes() == b"precious"


def test_only_what_a_run_s_own_process_leaves_is_swept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.samples.mkdir()
    (run.path / "evaluation").mkdir()
    (run.path / "mine").mkdir()
    token = "0123456789ab"
    gone = [
        run.path / f".status.json.{token}.partial",
        run.path / f".pipeline.{token}.partial",
        run.samples / f".step_000120_ema.png.{token}.partial",
    ]
    kept = [
        run.path / ".notes.partial",
        run.path / f".thesis.{token}.partial",
        run.path / f".report.html.{token}.partial",  # evaluate may be writing it
        run.path / f".status.json.{token}0.partial",
        run.path / "evaluation" / f".first.json.{token}.partial",
        run.path / "mine" / f".status.json.{token}.partial",
        run.samples / f".000000.png.{token}.partial",
    ]
    for path in [*gone, *kept]:
        path.write_bytes(b"half")
    gone[1].unlink()
    gone[1].symlink_to(run.path / "mine")  # the link goes, not what it leads to
    run.sweep()
    assert not any(os.path.lexists(path) for path in gone)
    assert all(path.exists() for path in kept) and (run.path / "mine").is_dir()


def test_processes_that_start_together_have_directories_of_their_own(tmp_path: Path) -> None:
    """Eight at once, released by one barrier; each also points ``latest`` at its own."""
    count = 8
    barrier = multiprocessing.get_context("fork").Barrier(count)
    children = []
    for k in range(count):
        pid = os.fork()
        if not pid:
            os.chdir(tmp_path)
            barrier.wait()
            made = new_directory("cats")
            (made.path / f"mine-{k}").touch()
            point_latest(made)
            os._exit(0 if len(os.listdir(made.path)) == 1 else 1)
        children.append(pid)
    assert {os.waitpid(pid, 0)[1] for pid in children} == {0}
    runs = tmp_path / "runs"
    made = sorted(path.name for path in runs.iterdir() if not path.is_symlink())
    assert [name.rpartition("-")[2] for name in made] == [str(n + 1) for n in range(count)]
    assert os.readlink(runs / "latest") in made


def test_something_of_the_user_s_own_called_latest_stays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(directory.ROOT / "a")
    (directory.ROOT / "latest").write_text("mine")
    assert not point_latest(run)
    assert (directory.ROOT / "latest").read_text() == "mine"
