"""``undrift runs``: crashed and interrupted runs, comparisons and studies, and deleting them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from undrift.cli.dispatch import main
from undrift.comparison.journal import PROTOCOL
from undrift.files.lock import FileLock
from undrift.runs.directory import COLLECTIONS, RunDirectory, point_latest


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def make(path: Path, state: str = "done", heartbeat: float | None = None) -> RunDirectory:
    """A run that got to step 2 of 3."""
    run = RunDirectory(path)
    run.make()
    run.write_text("config.yaml", "{}\n")
    beat = time.time() if heartbeat is None else heartbeat
    status = {"state": state, "step": 2, "steps": 3, "heartbeat": beat}
    (path / "status.json").write_text(json.dumps(status))
    point_latest(run)
    return run


def listed(capsys, *words: str) -> dict[str, list[str]]:
    capsys.readouterr()
    assert main(["runs", "list", *words]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:-1]]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {Path(row[0]).name: row[1:] for row in rows}


def test_a_crashed_run_is_told_from_one_that_runs_and_one_that_was_stopped(root, capsys) -> None:
    make(root / "stopped", "interrupted")
    make(root / "dead", "running")
    make(root / "hung", "running", time.time() - 3600)
    make(root / "alive", "running")
    with FileLock(root / "alive"), FileLock(root / "hung"):
        states = {name: row[0] for name, row in listed(capsys).items()}
    assert states == {
        "stopped": "interrupted",
        "dead": "crashed",
        "hung": "running, silent for 1 h",
        "alive": "running",
    }
    assert main(["runs", "show", "runs/dead"]) == 0
    printed = capsys.readouterr().out
    assert "crashed" in printed and printed.splitlines()[-1] == "next: undrift train runs/dead"


def test_a_finished_run_is_shown_without_torch(root) -> None:
    make(root / "ended", "done")
    (root / "ended" / "pipeline").mkdir()
    (root / "ended" / "grid.png").touch()
    code = "import sys; from undrift.cli.dispatch import main; main(['runs', 'show', 'runs/ended'])"
    command = [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, following, loaded = done.stdout.splitlines()
    assert following == "next: undrift sample runs/ended" and loaded == "False"


def test_looking_at_a_lock_takes_and_makes_none(root) -> None:
    make(root / "a")
    assert not FileLock(root / "a").taken()
    assert not (root / "a" / "LOCK").exists()
    with FileLock(root / "a") as lock:
        assert lock.taken() and FileLock(root / "a").taken()


def test_comparisons_and_studies_are_listed(root, capsys) -> None:
    assert PROTOCOL in COLLECTIONS
    make(root / "versus" / "runs" / "a")
    make(root / "versus" / "runs" / "b", "interrupted")
    (root / "versus" / "protocol.json").write_text("{}")
    make(root / "claims" / "main" / "runs" / "c")
    (root / "claims" / "study.json").write_text("{}")
    (root / "claims" / "report.json").write_text("{}")
    make(root / "single")
    rows = listed(capsys)
    assert rows["versus"][:2] == ["comparison, unfinished", "1 of 2 runs"]
    assert rows["claims"][:2] == ["study", "1 of 1 run"]
    assert rows["single"][:2] == ["done", "2/3"]


@pytest.mark.parametrize("names", [["runs/a", "b"], ["a", "runs/b/", "runs/a"]])
def test_rm_deletes_what_is_named(root, capsys, names) -> None:
    for name in "abc":
        make(root / name)
    outside = root.parent / "precious"
    outside.mkdir()
    (outside / "thesis.tex").write_text("years")
    (root / "a" / "samples").symlink_to(outside)
    assert main(["runs", "rm", *names, "--yes"]) == 0
    printed = capsys.readouterr().out
    assert "run runs/a: 2 files" in printed
    assert "deleted 2 folders" in printed
    assert [path.name for path in sorted(root.iterdir())] == ["c", "latest"]
    assert (outside / "thesis.tex").exists()


def test_the_link_to_the_latest_run_is_mended(root, capsys) -> None:
    make(root / "a")
    make(root / "b")
    assert main(["runs", "rm", "b", "--yes"]) == 0
    assert (root / "latest").readlink() == Path("a")
    assert main(["runs", "rm", "a", "--yes"]) == 0
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "pattern"),
    [
        (["a", "busy"], 2, "being written by another process"),
        (["a", "latest"], 2, "a link to"),
        (["a", "photos"], 4, "neither a run nor a comparison nor a study"),
        (["a", "absent"], 4, "nothing is there"),
        (["a", ".."], 4, "neither a run"),
        (["a", "versus"], 2, "being written by another process"),
    ],
)
def test_rm_refuses_and_then_deletes_nothing(root, capsys, words, code, pattern) -> None:
    for name in ("a", "busy", "versus/runs/c"):
        make(root / name)
    (root / "versus" / "protocol.json").write_text("{}")
    (root / "photos").mkdir()
    before = sorted(path for path in root.rglob("*") if path.name != "LOCK")
    with FileLock(root / "busy"), FileLock(root / "versus" / "runs" / "c"):
        assert main(["runs", "rm", *words, "--yes"]) == code
    assert pattern in capsys.readouterr().err
    assert before == sorted(path for path in root.rglob("*") if path.name != "LOCK")


def test_rm_asks_on_a_terminal_and_needs_yes_elsewhere(root, capsys, monkeypatch) -> None:
    make(root / "a")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["runs", "rm", "a"]) == 2
    assert "give --yes" in capsys.readouterr().err
    for answer, left in (("n\n", True), ("\n", True), ("y\n", False)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", terminal)
        assert main(["runs", "rm", "a"]) == 0
        assert (root / "a").exists() == left


def test_rm_takes_names_on_both_sides_of_a_flag(root, capsys) -> None:
    for name in ("a", "b", "c"):
        make(root / name)
    assert main(["runs", "rm", "a", "--yes", "b"]) == 0
    assert [(root / name).exists() for name in ("a", "b", "c")] == [False, False, True]
    assert main(["runs", "rm", "c", "--yes", "x" * 100_000]) == 4
    assert len(capsys.readouterr().err) < 400


def test_rm_needs_a_name(capsys) -> None:
    assert main(["runs", "rm"]) == 2
    assert "runs rm needs RUN" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list"], ["rm", "a", "--yes"]])
def test_a_root_beyond_any_path_is_refused_in_a_line(root, words, capsys) -> None:
    make(root / "a")
    assert main(["runs", *words, "--root", "x" * 100_000]) == 2
    assert (root / "a").exists()
    said = capsys.readouterr().err
    assert "no folder has so long a path" in said
    assert len(said) < 400
