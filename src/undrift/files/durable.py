"""Files and directories that appear whole or not at all.

Everything is written under another name beside its place, synced, and renamed; then the directory
that holds the name is synced. A reader finds the old content or the new one, and what was promised
outlives a power cut. What a killed process leaves behind has a name that starts with a dot.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from undrift.errors import UsageError
from undrift.files import manifest
from undrift.files.filesystem import LOCAL, Filesystem


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` beside ``path`` and rename it there.

    Args:
        path: the file; one that is there already is replaced.
        data: its whole content.
        durable: wait until a power cut could no longer lose it.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    partial = beside(path)
    try:
        LOCAL.write(partial, data)
        if durable:
            LOCAL.sync_file(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_names(path.parent)


def write_output(path: Path, data: bytes, *, durable: bool = True) -> None:
    """`write_file` of what a command leaves in its ``--out``; folders on the way are made.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data, durable=durable)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; name another --out"
        ) from error


def write_directory(path: Path, files: Mapping[str, bytes], *, replaceable: str) -> None:
    """Write a directory of ``files`` beside ``path`` and rename it there.

    Args:
        path: the directory; its parents are made.
        files: name -> content.
        replaceable: name of a file by which a directory of the same kind is known; only such a
            one, or an empty one, is replaced, and only if it holds nothing but what is written
            now or listed in its manifest.

    Raises:
        UsageError: if ``path`` holds something else or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: give a directory")
    if path.is_dir() and any(path.iterdir()) and not (path / replaceable).exists():
        raise UsageError(f"{path} holds other files: give a new or an empty directory")
    try:
        _check_strangers(path, files)
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged(beside(path)) as staging:
            for name, data in files.items():
                write_synced(staging / name, data)
            LOCAL.sync_directory(staging)
            _swap(staging, path)
        _sync_names(path.parent)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; give another directory"
        ) from error


@contextlib.contextmanager
def staged(staging: Path, filesystem: Filesystem = LOCAL) -> Iterator[Path]:
    """Make a directory to fill, sync and rename; if that fails, nothing of it stays.

    Args:
        staging: its first name, in the directory that will hold it.
        filesystem: operations to make and remove it with.

    Raises:
        OSError: if it cannot be made.
    """
    try:
        filesystem.make_directory(staging)
        yield staging
    except BaseException:
        # What cannot be removed stays hidden; the first error is the one to report.
        with contextlib.suppress(OSError):
            filesystem.remove_tree(staging)
        raise


def write_synced(path: Path, data: bytes, filesystem: Filesystem = LOCAL) -> None:
    """Create a file with a durable content; its name is durable once its directory is synced.

    Raises:
        OSError: if it is there already or cannot be written.
    """
    filesystem.write(path, data)
    filesystem.sync_file(path)


def sweep(directory: Path) -> list[Path]:
    """Delete what killed processes left half-written in ``directory`` and below.

    Only its one writer may call this: others may be about to rename what it would delete.

    Returns:
        what was deleted.
    """
    left = sorted(directory.rglob(".*.partial"))
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return left


def beside(path: Path) -> Path:
    """A hidden name next to ``path`` that nothing has: ``.<name>.<random>.partial``."""
    return path.parent / f".{path.name}.{secrets.token_hex(6)}.partial"


def _check_strangers(path: Path, files: Mapping[str, bytes]) -> None:
    present = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    strangers = sorted(present - files.keys() - manifest.listed(path))
    if strangers:
        raise UsageError(
            f"{path} also holds {strangers[0]!r}, which replacing it would delete: "
            "move that elsewhere, or give another directory"
        )


def _swap(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; what was there is out of the way before and deleted after."""
    if not (path.is_dir() and any(path.iterdir())):
        LOCAL.rename(new, path)  # onto nothing or an empty directory: one atomic step
        return
    old = beside(path)
    LOCAL.rename(path, old)
    try:
        LOCAL.rename(new, path)
    except OSError:
        LOCAL.rename(old, path)
        raise
    shutil.rmtree(old)


def _sync_names(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # a directory one may write to but not read
        LOCAL.sync_directory(path)
