"""Places are tried before work is spent, and a result that cannot be written is not lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.datasets import load_digits

from undrift.cli.dispatch import main
from undrift.errors import UnsavedResultError, UsageError
from undrift.evaluation import EvaluationProgress, drawing, evaluate_target
from undrift.evaluation.saving import saved_elsewhere
from undrift.files.destination import ROOM, check_room
from undrift.options import EvaluateOptions
from undrift.runs import directory
from undrift.runs.directory import RunDirectory
from undrift.runs.events import EventLog, read_events
from undrift.runs.log import RunLog

TINY = ("--threads", "1")
EVALUATE = ("--n", "20", "--steps", "2", "--metrics", "fd", "--features", "pixels", *TINY)
LIKELIHOOD = ("--n", "4", "--points", "2", *TINY)
TUNE = ("--steps", "2", "--samples", "32", *TINY)
VERBS = [("evaluate", EVALUATE), ("likelihood", LIKELIHOOD), ("tune-sampler", TUNE)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    digits = np.round(load_digits().images[:300] * 255 / 16).astype(np.uint8)[..., None]
    np.save(folder / "digits.npy", digits)
    words = ["train", str(folder / "digits.npy"), "--steps", "3", "--network", "mlp"]
    words += ["--batch-size", "8", "--bare", "--out", str(folder / "run"), "--quiet", *TINY]
    assert main(words) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, "run", symlinks=True))


@contextmanager
def no_room(largest: int = 1000) -> Iterator[None]:
    """Files of this process can't grow: as on a full disk, every longer write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_place_is_tried_with_as_much_as_a_result_takes(tmp_path: Path) -> None:
    check_room(tmp_path)
    with no_room(ROOM), pytest.raises(OSError), open(tmp_path / "large", "wb") as file:
        file.write(bytes(2 * ROOM))
    (tmp_path / "large").unlink()
    with no_room(ROOM - 1), pytest.raises(OSError) as caught:
        check_room(tmp_path)
    assert Path(str(caught.value.filename)).parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError):
        check_room(Path("/proc"))  # where nobody makes files


@pytest.mark.parametrize(("verb", "words"), [*VERBS, ("curve", EVALUATE)])
def test_a_run_without_room_is_found_out_before_anything_is_done(
    run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, verb: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(drawing, "draw", None)
    if verb == "curve":
        words = ("--nfe", "2", "--n", "20", "--samplers", "euler", *TINY)
    before = sorted(run.rglob("*"))
    with no_room():
        assert main([verb, "run", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: run: no result can be written there (File too large); make ")
    assert ("--out" in line) == (verb != "tune-sampler")  # whose result belongs into the pipeline
    assert [path for path in sorted(run.rglob("*")) if path.name != "LOCK"] == before


@pytest.mark.parametrize(
    ("verb", "words"),
    [*VERBS[:2], pytest.param(*VERBS[2], marks=pytest.mark.slow)],
)
def test_a_result_that_cannot_be_written_is_printed_and_kept(
    run: Path,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))

    def break_later(found: RunDirectory, advice: str = "") -> None:
        (found.path / "evaluation").write_text("no folder, after all")

    monkeypatch.setattr(RunDirectory, "check_writable", break_later)  # the last check before work
    assert main([verb, "run", *words]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("undrift: run/evaluation/") and "cannot be written" in line
    place = Path(line.rpartition("the result is in ")[2])
    assert place.parent == tmp_path / "cache"
    number = {"evaluate": "\nfd ", "likelihood": "\nelbo ", "tune-sampler": "best fixed"}[verb]
    assert number in printed.out and "stored in the pipeline" not in printed.out
    files = sorted(path.name for path in place.iterdir())
    assert (
        files
        == {
            "evaluate": ["evaluation.json"],
            "likelihood": ["likelihood.json", "per-image.csv"],
            "tune-sampler": ["pipeline", "tune-sampler.json"],
        }[verb]
    )


@pytest.mark.parametrize(("verb", "words"), VERBS[:2])
def test_a_result_of_a_run_that_is_read_only_goes_to_out_alone(
    run: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    words: tuple[str, ...],
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

    monkeypatch.setattr(directory, "check_room", refuse)  # as root nobody else is refused
    assert main([verb, "run", *words, "--out", "found.json"]) == 0
    assert "run cannot be written: the result goes to found.json alone" in capsys.readouterr().out
    assert Path("found.json").is_file() and not (run / "evaluation").exists()


def test_in_python_the_error_carries_the_result(run: Path, tmp_path: Path) -> None:
    class Breaking(EvaluationProgress):
        def metric(self, name: str, done: int, total: int) -> None:
            shutil.rmtree("out", ignore_errors=True)
            Path("out").write_text("no folder any more")

    Path("out").mkdir()
    options = EvaluateOptions(n=20, metrics="fd", features="pixels", out="out/found.json")
    with pytest.raises(UnsavedResultError, match="out/found.json: .*the result is in") as caught:
        evaluate_target("run", options, progress=Breaking())
    assert caught.value.result.metrics["fd"].value > 0


def test_the_small_files_of_a_run_are_outputs_too(run: Path) -> None:
    """Its log, its events, its status: what cannot be written is one line and code 2."""
    log, events = RunLog(Console(quiet=True), run / "log.txt"), EventLog(run / "metrics.jsonl")
    whole = len(read_events(run / "metrics.jsonl"))
    with no_room(0):
        for write in (
            lambda: log.say("line"),
            lambda: events.write("event", text="x" * 100),
            lambda: RunDirectory(run).write_status("running", 1, 2),
        ):
            with pytest.raises(UsageError, match="cannot be written .File too large.; make room"):
                write()
        events.close()  # which has nothing left to write
    assert len(read_events(run / "metrics.jsonl")) == whole


def test_a_cache_without_room_is_named(
    run: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(directory, "check_room", lambda folder: None)  # the run has room
    with no_room():
        assert main(["evaluate", "run", *EVALUATE]) == 2
    line = capsys.readouterr().err
    assert "cache" in line and "File too large" in line and "set UNDRIFT_CACHE" in line


def test_without_any_other_place_the_error_still_carries_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def save(place: Path) -> None:
        (place / "half").write_text("of it")
        raise OSError("full")

    with (
        pytest.raises(UnsavedResultError, match="no other place") as caught,
        saved_elsewhere({"a": 1}, save),
    ):
        raise UsageError("here too")
    assert caught.value.result == {"a": 1} and caught.value.exit_code == 2
    assert list(tmp_path.rglob("undrift-result-*")) == []


def test_a_run_can_be_checked(tmp_path: Path) -> None:
    RunDirectory(tmp_path).check_writable()
    with pytest.raises(UsageError, match="no result can be written there"):
        RunDirectory("/proc").check_writable()
