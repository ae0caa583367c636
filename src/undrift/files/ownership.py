"""Which files undrift may replace: those that say themselves that it wrote them.

A result of ``evaluate --out`` may be written again where the last one is, and a file of the user's
own is never lost to a wrong word. Every kind of output carries a mark in its first or last bytes.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from undrift.errors import UsageError
from undrift.files.filesystem import open_own

SOFTWARE = "undrift"
"""What pictures say in their text ``Software`` and npz files in their comment."""

_READ = 4096
_MARKS = (
    re.compile(rb'\s*\{\s*"version": ?"\d[^"\n]*",\s*"target": ?"'),  # JSON results
    re.compile(rb"number,name,label,rank,"),  # tables of likelihoods
    re.compile(rb'.{8}\{"__metadata__":\{"undrift\.', re.DOTALL),  # safetensors
    re.compile(rb"\x89PNG\r\n.*tEXtSoftware\x00undrift", re.DOTALL),
)
_NPZ_COMMENT = SOFTWARE.encode()


def check_replaceable(flag: str, path: Path) -> None:
    """Make sure that a file may be written at ``path``, where something may be already.

    Args:
        flag: by which the user named the place.
        path: nothing, an empty file, or one that undrift wrote.

    Raises:
        UsageError: if something else is there, or the name cannot be one.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL
        raise UsageError(f"{flag} {path}: {reason(error)}; name another") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{flag} {path}: it is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{flag} {path}: it is {_kind(mode)}; name a regular file")
    try:
        own = written_by_undrift(path)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {reason(error)}; name another file") from error
    if not own:
        raise UsageError(
            f"{flag} {path}: a file that undrift did not write is there; remove it or name another"
        )


def written_by_undrift(path: Path) -> bool:
    """Whether a regular file is empty or carries the mark of an output of undrift.

    Raises:
        OSError: if it cannot be read or is no regular file.
    """
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        head = file.read(_READ)
        if not head or any(mark.match(head) for mark in _MARKS):
            return True
        file.seek(-min(len(_NPZ_COMMENT) + 2, len(head)), os.SEEK_END)
        length = len(_NPZ_COMMENT).to_bytes(2, "little")
        return head.startswith(b"PK") and file.read() == length + _NPZ_COMMENT


def reason(error: OSError | ValueError) -> str:
    """The system's words for what failed; a name with a NUL is a ``ValueError``."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
