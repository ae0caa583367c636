from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from undrift.errors import UsageError
from undrift.files.lock import FileLock

SCRIPT = Path(__file__).with_name("lock_process.py")


def test_held_while_entered(tmp_path: Path) -> None:
    lock = FileLock(tmp_path)
    assert not lock.held
    with lock as entered:
        assert entered is lock and lock.held
    assert not lock.held
    with lock:
        lock.acquire()  # again by the same object: nothing happens
        assert lock.held


def test_a_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    with FileLock(tmp_path):
        with pytest.raises(UsageError) as caught:
            FileLock(tmp_path).acquire()
        message = str(caught.value)
        assert str(tmp_path) in message and f'"pid": {os.getpid()}' in message
        assert "\n" not in message and caught.value.exit_code == 2
    with FileLock(tmp_path):
        pass


def test_another_directory_is_another_lock(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with FileLock(tmp_path / "a"), FileLock(tmp_path / "b"):
        pass


def test_a_stale_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "LOCK").write_text('{"pid": 1, "host": "elsewhere", "since": "long ago"}')
    with FileLock(tmp_path):
        assert json.loads((tmp_path / "LOCK").read_text())["pid"] == os.getpid()


def test_kill_frees_it_even_with_a_surviving_child(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    _, child, held = holder.stdout.readline().split()
    try:
        assert held == "False"
        with pytest.raises(UsageError, match=f'"pid": {holder.pid}'):
            FileLock(tmp_path).acquire()
        holder.kill()
        holder.wait()
        os.kill(int(child), 0)  # the child is alive
        with FileLock(tmp_path):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "LOCK").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        FileLock(tmp_path).acquire()
    with pytest.raises(UsageError, match="cannot be written"):
        FileLock(tmp_path / "missing").acquire()
