"""Files and directories that appear whole or not at all.

Everything is written under another name beside its place, synced, and renamed; then the directory
that holds the name is synced. A reader finds the old content or the new one, and what was promised
outlives a power cut. What a killed process leaves behind has a name that starts with a dot.

A directory that replaces another changes names with it in one step. Where the system has no such
step the old one is renamed to ``.NAME.replaced`` before: `standing` finds it there, and the next
writer puts it back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from undrift.advice import named
from undrift.errors import UsageError
from undrift.files import manifest
from undrift.files.filesystem import IRREGULAR, LOCAL, NO_EXCHANGE, Filesystem
from undrift.files.ownership import check_replaceable, reason

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{12}\.partial", re.DOTALL)
LONGEST_NAME = 255
"""Bytes that a filesystem takes for a name."""


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` beside ``path`` and rename it there.

    Args:
        path: the file; a regular file that is there already is replaced.
        data: its whole content.
        durable: wait until a power cut could no longer lose it.

    Raises:
        OSError: if it cannot be written, or something else than a file has that name (a device, a
            pipe, a symbolic link); nothing is left behind then.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, IRREGULAR, str(path))
    partial = beside(path)
    try:
        LOCAL.write(partial, data)
        if durable:
            LOCAL.sync_file(partial)
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    if durable:
        _sync_names(path.parent)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file of a run inside; what goes wrong is the user's to mend.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); make room or repair that"
        ) from error


def write_output(
    path: Path, data: bytes, *, flag: str | None = None, durable: bool = True, owned: bool = False
) -> None:
    """`write_file` of what a command leaves where its user wants it; its folder is made.

    Args:
        path: the file.
        data: its whole content.
        flag: by which the user named the place; None: `out`.
        durable: wait until a power cut could no longer lose it.
        owned: the folder is known to be the command's own; otherwise a file that is there is only
            replaced if undrift wrote it.

    Raises:
        UsageError: if it cannot be written or may not be replaced.
    """
    flag = named("out") if flag is None else flag
    if not owned:
        check_replaceable(flag, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data, durable=durable)
    except OSError as error:
        raise UsageError(
            f"{flag} {path}: cannot be written ({error.strerror or error}); name another place"
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
    try:
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file: give a directory")
        if path.is_dir() and any(path.iterdir()) and not (path / replaceable).exists():
            raise UsageError(f"{path} holds other files: give a new or an empty directory")
        _check_strangers(path, files)
        path.parent.mkdir(parents=True, exist_ok=True)
        put_directory(path, files)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageError(f"cannot write {path}: {reason(error)}; give another directory") from error


def put_directory(path: Path, files: Mapping[str, bytes], filesystem: Filesystem = LOCAL) -> None:
    """Make ``path`` a directory of ``files``, in place of one that is there.

    Args:
        path: the directory; its parent exists.
        files: name -> content.
        filesystem: operations to write through.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    restore(path, filesystem)
    with staged(beside(path), filesystem) as staging:
        for name, data in files.items():
            write_synced(staging / name, data, filesystem)
        filesystem.sync_directory(staging)
        old = _swap(staging, path, filesystem)
        _sync_names(path.parent, filesystem)  # before the old content goes
        if old is not None:
            filesystem.remove_tree(old)


def standing(path: Path, filesystem: Filesystem = LOCAL) -> Path:
    """Where to read the directory ``path``: the place itself, unless a killed process left it bare.

    Without an atomic exchange there is a moment in which the old directory has another name, and
    the new one is not at its place yet.
    """
    aside = _aside(path)
    return aside if not filesystem.exists(path) and filesystem.exists(aside) else path


def restore(path: Path, filesystem: Filesystem = LOCAL) -> None:
    """Give the directory ``path`` its name back, if a killed process took it; for its writer.

    Raises:
        OSError: if that cannot be done.
    """
    if (found := standing(path, filesystem)) != path:
        filesystem.rename(found, path)
        _sync_names(path.parent, filesystem)


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


def sweep(directory: Path, own: Callable[[str], object]) -> list[Path]:
    """Delete what killed processes left half-written in ``directory``, and nothing below it.

    Args:
        directory: where to look.
        own: whether the caller is the only writer of a file of that name: others may be about to
            rename what this would delete.

    Returns:
        what was deleted.
    """
    left = []
    for name in sorted(LOCAL.names(directory)):
        partial = _PARTIAL.fullmatch(name)
        if partial is not None and own(partial[1]):
            left.append(directory / name)
    for path in left:
        if path.is_dir():
            LOCAL.remove_tree(path)
        else:
            path.unlink(missing_ok=True)
    return left


def beside(path: Path) -> Path:
    """A hidden name next to ``path`` that nothing has: ``.<name>.<random>.partial``."""
    return _hidden(path, f".{secrets.token_hex(6)}.partial")


def _aside(path: Path) -> Path:
    """The hidden name of a directory while it is replaced without an atomic exchange."""
    return _hidden(path, ".replaced")


def _hidden(path: Path, suffix: str) -> Path:
    """``.<name><suffix>`` next to ``path``; a name that would be too long is cut."""
    room = LONGEST_NAME - 1 - len(suffix)
    name = os.fsencode(path.name)[:room].decode(errors="ignore")
    return path.parent / f".{name}{suffix}"


def _check_strangers(path: Path, files: Mapping[str, bytes]) -> None:
    present = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    strangers = sorted(present - files.keys() - manifest.listed(path))
    if strangers:
        raise UsageError(
            f"{path} also holds {strangers[0]!r}, which replacing it would delete: "
            "move that elsewhere, or give another directory"
        )


def _swap(new: Path, path: Path, filesystem: Filesystem) -> Path | None:
    """Give ``new`` the name ``path``; returns where the directory that had it is now."""
    if not filesystem.names(path):
        filesystem.rename(new, path)  # onto nothing or an empty directory: one atomic step
        return None
    try:
        filesystem.exchange(new, path)
    except OSError as error:
        if error.errno not in NO_EXCHANGE:
            raise
        return _swap_in_two(new, path, filesystem)
    return new


def _swap_in_two(new: Path, path: Path, filesystem: Filesystem) -> Path:
    """`_swap` where directories cannot be exchanged: for a moment nothing has the name."""
    aside = _aside(path)
    if filesystem.exists(aside):  # of a writer that was killed when the new one was at its place
        filesystem.remove_tree(aside)
    filesystem.rename(path, aside)
    try:
        filesystem.rename(new, path)
    except OSError:
        filesystem.rename(aside, path)
        raise
    return aside


def _sync_names(path: Path, filesystem: Filesystem = LOCAL) -> None:
    with contextlib.suppress(PermissionError):  # a directory one may write to but not read
        filesystem.sync_directory(path)
