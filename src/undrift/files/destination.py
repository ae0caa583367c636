"""Whether a place can be written, found out before work is spent on what is to be written there."""

from __future__ import annotations

import os
from pathlib import Path

from undrift.errors import UsageError
from undrift.files.durable import LONGEST_NAME, beside, write_file
from undrift.files.ownership import check_replaceable

LONGEST_PATH = 4096
"""Bytes, on Linux; shorter elsewhere."""

ROOM = 2**16
"""Bytes that a place must have room for: more than a result or a table takes."""


def check_room(folder: Path) -> None:
    """Make a file of `ROOM` bytes in ``folder`` and delete it.

    Raises:
        OSError: that cannot be done: no permission, a read-only place, no room, no inode, a quota.
    """
    probe = beside(folder / "undrift")
    write_file(probe, bytes(ROOM), durable=False)
    probe.unlink()


def writable_folder(flag: str, path: Path) -> None:
    """Refuse a path that can't become a folder with files, before work is spent on its content.

    Its nearest ancestor that exists has to be a folder in which a file can be made: one is, and
    deleted.
    """
    _nameable(flag, path)
    ancestor = path
    while not os.path.lexists(ancestor) and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    if not os.path.isdir(ancestor):
        what = "a file" if os.path.isfile(ancestor) else "no folder"
        raise UsageError(f"{flag} {path}: {ancestor} is {what}; name a folder that can be written")
    try:
        check_room(ancestor)
    except OSError as error:
        raise UsageError(
            f"{flag} {path}: {ancestor} can't be written ({error.strerror}); name another place"
        ) from error


def writable_file(flag: str, path: Path, made: Path | None = None) -> None:
    """Refuse a path that can't become a file, or is one that undrift did not write.

    Its folder has to exist and be writable, unless it is ``made`` or one above, which will be made
    before.
    """
    _nameable(flag, path)
    check_replaceable(flag, path)
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise UsageError(f"{flag} {path}: it can't be written; name another file")
    parent = path.parent.resolve()
    comes = made is not None and made.resolve().is_relative_to(parent)
    if not os.path.isdir(path.parent) and not comes:
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}; make it first")
    writable_folder(flag, path.parent)


def _nameable(flag: str, path: Path) -> None:
    """Refuse what no file can be called."""
    if "\0" in str(path):
        raise UsageError(f"{flag} {path}: a name cannot hold a NUL; name another")
    for part in path.parts:
        if (size := len(os.fsencode(part))) > LONGEST_NAME:
            raise UsageError(
                f"{flag} {part[:20]}...: a name of {size} bytes; {LONGEST_NAME} at most"
            )
