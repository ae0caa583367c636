"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from undrift.errors import UsageError


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` beside ``path`` and rename it there.

    Args:
        path: the file; one that is there already is replaced.
        data: its whole content.
        durable: wait until a power cut could no longer lose it.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    partial = _sibling(path)
    try:
        _write(partial, data, durable)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def write_directory(path: Path, files: Mapping[str, bytes], *, replaceable: str) -> None:
    """Write a directory of ``files`` beside ``path`` and rename it there.

    Args:
        path: the directory; its parents are made.
        files: name -> content.
        replaceable: name of a file by which a directory of the same kind is known; only such a
            one, or an empty one, is replaced.

    Raises:
        UsageError: if ``path`` holds something else or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: give a directory")
    if path.is_dir() and any(path.iterdir()) and not (path / replaceable).exists():
        raise UsageError(f"{path} holds other files: give a new or an empty directory")
    partial = _sibling(path)
    try:
        partial.mkdir(parents=True)
        for name, data in files.items():
            _write(partial / name, data, durable=True)
        _sync_directory(partial)
        _swap(partial, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; give another directory"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; what was there is out of the way before and deleted after."""
    if not (path.is_dir() and any(path.iterdir())):
        new.rename(path)  # onto nothing or an empty directory: one atomic step
        return
    old = _sibling(path)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _sibling(path: Path) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(6)}.partial"


def _write(path: Path, data: bytes, durable: bool) -> None:
    with open(path, "xb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # a directory one may write to but not read
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
