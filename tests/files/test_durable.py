"""Old or new, never half: files and directories, whichever operation fails."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from undrift.errors import UsageError
from undrift.files.durable import beside, staged, write_directory, write_file, write_synced

CALLS = ("fsync", "replace", "rename")


def fail(patch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Let system call number ``at`` of ``CALLS`` fail; returns the names of those that are made."""
    made: list[str] = []

    def counted(name: str, real):
        def call(*arguments):
            made.append(name)
            if len(made) == at + 1:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call

    for name in CALLS:
        patch.setattr(os, name, counted(name, getattr(os, name)))
    return made


def test_a_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    found = []
    for at in range(4):
        path.write_bytes(b"old")
        with monkeypatch.context() as patch:
            made = fail(patch, at)
            if at == 3:
                write_file(path, b"new")
            else:
                with pytest.raises(OSError, match="No space"):
                    write_file(path, b"new")
        assert os.listdir(tmp_path) == ["file"]
        found.append(path.read_bytes())
    assert made == ["fsync", "replace", "fsync"]  # content, name, name made durable
    assert found == [b"old", b"old", b"new", b"new"]


def test_what_can_be_made_again_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        made = fail(patch, 99)
        write_file(tmp_path / "file", b"new", durable=False)
    assert made == ["replace"] and (tmp_path / "file").read_bytes() == b"new"


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_file(tmp_path / "file", b"")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_directory_is_absent_or_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new"
    files = {"a": b"1", "b": b"2"}
    for at in range(5):
        with monkeypatch.context() as patch:
            made = fail(patch, at)
            with pytest.raises(UsageError, match="No space left"):
                write_directory(path, files, replaceable="a")
        if at < 4:
            assert os.listdir(tmp_path) == []
    assert made == ["fsync", "fsync", "fsync", "rename", "fsync"]
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == files


def test_other_peoples_directories_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        write_directory(tmp_path, {"a": b""}, replaceable="a")
    with pytest.raises(UsageError, match="is a file"):
        write_directory(tmp_path / "thesis.tex", {"a": b""}, replaceable="a")
    for name in ("x" * 256, "a\0b"):
        with pytest.raises(UsageError, match="cannot write"):
            write_directory(tmp_path / name, {"a": b""}, replaceable="a")
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_stage_that_fails_is_removed(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), staged(tmp_path / "stage") as stage:
            write_synced(stage / "a", b"1")
            raise error
        assert os.listdir(tmp_path) == []
    with staged(tmp_path / "stage") as stage:
        stage.rename(tmp_path / "place")
    assert os.listdir(tmp_path) == ["place"]


def test_nothing_is_written_into_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_synced(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_names_beside_are_hidden_and_new(tmp_path: Path) -> None:
    names = {beside(tmp_path / "a") for _ in range(100)}
    assert len(names) == 100
    assert all(n.parent == tmp_path and n.name.startswith(".a.") for n in names)
