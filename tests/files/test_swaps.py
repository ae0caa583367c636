"""A directory that replaces another: old or new and whole, whatever is cut short."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from tests.training.crash_filesystem import CrashFilesystem, Tree, TreeFilesystem

from undrift.files import durable
from undrift.files.durable import put_directory, restore, standing
from undrift.files.filesystem import LOCAL, LocalFilesystem

PLACE = Path("/place/pipeline")
OLD, NEW, NEWER = ({"a": content * 3, "b": content} for content in (b"old", b"new", b"newer"))


def record(**options: Any) -> CrashFilesystem:
    """One directory is written and then replaced twice; ``mark`` tells what was promised."""
    filesystem = CrashFilesystem(**options)
    filesystem.make_directory(PLACE.parent)
    filesystem.sync_directory(Path("/"))
    for step, files in enumerate((OLD, NEW, NEWER)):
        put_directory(PLACE, files, filesystem)
        filesystem.mark(step)
    return filesystem


def found(tree: Tree) -> dict[str, bytes]:
    """What a reader finds after the crash: the files of the directory, wherever it stands."""
    place = standing(PLACE, TreeFilesystem(tree))  # type: ignore[arg-type]
    return {path.name: data for path, data in tree.items() if path.parent == place and data}


def examine(filesystem: CrashFilesystem) -> tuple[int, str]:
    """Number of crash states, and the first fault: a directory that is gone, torn or too old."""
    wanted = (OLD, NEW, NEWER)
    states = 0
    for tree, promised in filesystem.crashes():
        states += 1
        files = found(tree)
        allowed = [{}, OLD] if promised is None else list(wanted[promised : promised + 2])
        if files not in allowed:
            return states, f"after {promised}: {sorted(files)} of {sorted(map(str, tree))}"
    return states, ""


@pytest.mark.parametrize("exchanges", [True, False])
def test_every_crash_state_is_old_or_new(exchanges: bool) -> None:
    filesystem = record(exchanges=exchanges)
    states, fault = examine(filesystem)
    assert not fault and states >= 500, (states, fault)
    assert filesystem.names(PLACE.parent) == ["pipeline"]
    assert ("exchange" in filesystem.calls) == exchanges


@pytest.mark.parametrize("exchanges", [True, False])
def test_leaving_out_any_sync_tears_it(exchanges: bool) -> None:
    """Mutants: without one of the syncs of a replacement some crash state is wrong."""
    calls = record(exchanges=exchanges).calls
    last = len(calls) - calls[::-1].index("make_directory") - 1  # of the second replacement
    syncs = [k for k, call in enumerate(calls) if k > last and call.startswith("sync")]
    assert len(syncs) == 4  # two files, the directory, the names
    for k in syncs:
        assert examine(record(exchanges=exchanges, drop=frozenset({k})))[1], calls[k]


def killed_at(path: Path, call: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Replace ``path`` in a child that ends, without cleaning up, before rename number ``call``."""
    pid = os.fork()
    if not pid:
        made = 0

        def counted(real):
            def one(*arguments):
                nonlocal made
                if made == call:
                    os._exit(9)
                made += 1
                return real(*arguments)

            return one

        monkeypatch.setattr(LocalFilesystem, "rename", counted(LocalFilesystem.rename))
        monkeypatch.setattr(LocalFilesystem, "remove_tree", counted(LocalFilesystem.remove_tree))
        put_directory(path, NEW)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def contents(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


def no_exchange(self: LocalFilesystem, one: Path, other: Path) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize(("exchange", "calls"), [(LocalFilesystem.exchange, 1), (no_exchange, 3)])
def test_a_killed_replacement_is_read_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: Any, calls: int
) -> None:
    monkeypatch.setattr(LocalFilesystem, "exchange", exchange)
    path = tmp_path / "pipeline"
    kills = 0
    put_directory(path, OLD)
    while killed_at(path, kills, monkeypatch):
        assert contents(standing(path)) in (OLD, NEW)
        put_directory(path, OLD)
        assert contents(path) == OLD and standing(path) == path
        assert not (tmp_path / ".pipeline.replaced").exists()
        kills += 1
    assert contents(path) == NEW
    assert kills == calls


def test_a_writer_restores_the_name(tmp_path: Path) -> None:
    aside = tmp_path / ".pipeline.replaced"
    put_directory(aside, OLD)
    path = tmp_path / "pipeline"
    assert standing(path) == aside
    restore(path)
    assert contents(path) == OLD and not aside.exists()
    restore(path)
    assert contents(path) == OLD


def test_what_an_exchange_fails_with_otherwise_is_an_error(tmp_path: Path, monkeypatch) -> None:
    def full(self: LocalFilesystem, one: Path, other: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "pipeline"
    put_directory(path, OLD)
    monkeypatch.setattr(LocalFilesystem, "exchange", full)
    with pytest.raises(OSError, match="No space"):
        put_directory(path, NEW)
    assert contents(path) == OLD and os.listdir(tmp_path) == ["pipeline"]


def test_two_directories_change_names(tmp_path: Path) -> None:
    for name, files in (("one", OLD), ("other", NEW)):
        put_directory(tmp_path / name, files)
    LOCAL.exchange(tmp_path / "one", tmp_path / "other")
    assert contents(tmp_path / "one") == NEW and contents(tmp_path / "other") == OLD
    with pytest.raises(FileNotFoundError):
        LOCAL.exchange(tmp_path / "one", tmp_path / "absent")


def test_long_names_have_hidden_ones(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)  # 254 bytes
    put_directory(path, OLD)
    put_directory(path, NEW)
    assert contents(path) == NEW
    durable.write_file(tmp_path / ("x" * 255), b"data")
