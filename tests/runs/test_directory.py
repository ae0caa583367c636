from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from undrift.cli.dispatch import main
from undrift.errors import ModelFileError, UsageError
from undrift.runs import directory
from undrift.runs.directory import RunDirectory, list_runs, new_directory, open_run, point_latest
from undrift.runs.events import EventLog, read_events


def make_run(path: Path) -> RunDirectory:
    run = RunDirectory(path)
    run.make()
    run.write_text("config.yaml", "{}\n")
    return run


def test_new_directories_are_free_and_named_after_the_data(tmp_path: Path) -> None:
    archive = tmp_path / "cats.zip"
    archive.write_bytes(b"")
    first = new_directory(str(archive), tmp_path)
    assert first.path.name.startswith("cats-") and first.path.name.endswith("-1")
    assert first.path.is_dir()
    assert new_directory(str(archive), tmp_path).path.name.endswith("-2")


def test_latest_points_at_the_newest_run_in_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        point_latest(make_run(directory.ROOT / name))
    assert (directory.ROOT / "latest").resolve().name == "b"
    point_latest(make_run(tmp_path / "elsewhere"))
    assert (directory.ROOT / "latest").resolve().name == "b"
    assert not (tmp_path / "latest").exists()
    assert [run.path.name for run in list_runs()] == ["a", "b"]


def test_strangers_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="'thesis.tex' and is not a run"):
        RunDirectory(tmp_path).check()
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_killed_before_its_configuration_starts_afresh(tmp_path: Path) -> None:
    for name in ("LOCK", "environment.json", "data.json", "status.json"):
        (tmp_path / name).write_text("{}")
    RunDirectory(tmp_path).check()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        RunDirectory(tmp_path / "out" / "run").make()
    with pytest.raises(UsageError, match="not a folder"):
        RunDirectory(tmp_path / "out").check()


def test_open_run(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such run"):
        open_run(tmp_path / "absent")
    with pytest.raises(ModelFileError, match="not a run"):
        open_run(tmp_path)
    assert open_run(make_run(tmp_path / "run").path).is_run


def test_files_appear_by_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory.os, "fsync", full)
    with pytest.raises(UsageError, match=r"config.yaml: cannot be written \(No space"):
        run.write_text("config.yaml", "half")
    assert run.config.read_text() == "{}\n"
    assert [entry.name for entry in run.path.iterdir()] == ["config.yaml"]


def test_a_torn_last_event_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = EventLog(path)
    log.write("start", step=0)
    log.write("train", step=5, images=80, loss=0.5)
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "tra')
    assert [event.kind for event in read_events(path)] == ["start", "train"]
    log = EventLog(path)
    log.write("start", step=5)
    log.close()
    assert [event.step for event in read_events(path)] == [0, 5, 5]
    assert path.read_bytes().startswith(whole)


def test_a_broken_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"event": "done", "time": 1}\n{broken\n{"event": "done", "time": 2}\n')
    with pytest.raises(ModelFileError, match="line 2 is not JSON"):
        read_events(path)


def test_events_hold_no_nan(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write("train", loss=float("nan"))
    log.close()


def as_nobody(*words: str) -> int:
    """Exit code of a command line given by a user whom permissions bind, unlike root."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            code = main(list(words))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_folder_that_cannot_be_entered_is_listed_and_stops_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        os.chmod(root, 0o755)
        for name in ("open", "shut"):
            make_run(Path(root, name))
        for words in (("list", "--root", root), ("show", f"{root}/shut")):
            assert main(["runs", *words]) == 0  # modules are loaded while they can be read
        Path(root, "shut").chmod(0)
        capfd.readouterr()
        assert as_nobody("runs", "list", "--root", root) == 0
        printed = capfd.readouterr().out
        assert re.search(r"open\s+not started", printed)
        assert re.search(r"shut\s+unreadable", printed)
        assert as_nobody("runs", "show", f"{root}/shut") == 4
        assert "cannot be entered" in capfd.readouterr().err
        Path(root).chmod(0o311)
        assert as_nobody("runs", "list", "--root", root) == 4
        assert "cannot be read (Permission denied)" in capfd.readouterr().err
