"""The few filesystem operations that durable files and directories are made of.

One seam, so that a test can record the operations and rebuild every directory a power cut could
leave behind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Protocol

from undrift.files.reading import regular_bytes

NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})
"""What ``exchange`` fails with on a system, a filesystem or in a sandbox that has no such call."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class Filesystem(Protocol):
    """What a store needs of a filesystem. Every method raises ``OSError`` on failure."""

    def make_directory(self, path: Path) -> None:
        """Create one directory; its parent exists, it does not."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Create a file that does not exist yet; durable only after ``sync_file``."""
        ...

    def sync_file(self, path: Path) -> None:
        """Make a file's content durable."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Rename a directory atomically within its parent; ``target`` is absent or empty."""
        ...

    def exchange(self, one: Path, other: Path) -> None:
        """Let two directories of one parent change names in one step.

        Raises:
            OSError: with a number in ``NO_EXCHANGE`` where that cannot be had.
        """
        ...

    def remove_tree(self, path: Path) -> None:
        """Delete a directory and what is in it."""
        ...

    def read(self, path: Path) -> bytes:
        """A file's content."""
        ...

    def names(self, path: Path) -> list[str]:
        """Names in a directory; none if there is no such directory."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is a file or directory."""
        ...


class LocalFilesystem:
    """The machine's own filesystem."""

    def make_directory(self, path: Path) -> None:
        """Create one directory; its parent exists, it does not."""
        path.mkdir()

    def write(self, path: Path, data: bytes) -> None:
        """Create a file that does not exist yet; durable only after ``sync_file``."""
        with open(path, "xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def sync_file(self, path: Path) -> None:
        """Make a file's content durable."""
        self._sync(path, os.O_RDONLY)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a directory atomically within its parent; ``target`` is absent or empty."""
        os.rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        """Let two directories of one parent change names in one step, by Linux's ``renameat2``.

        Raises:
            OSError: with a number in ``NO_EXCHANGE`` where that cannot be had.
        """
        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one))
        names = os.fsencode(one), os.fsencode(other)
        if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(one), None, str(other))

    def remove_tree(self, path: Path) -> None:
        """Delete a directory and what is in it; of a symbolic link, only the link.

        Anything else of this name is deleted too: ``rmtree`` would wait for ever at a pipe.
        """
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def read(self, path: Path) -> bytes:
        """A regular file's content."""
        return regular_bytes(path)

    def names(self, path: Path) -> list[str]:
        """Names in a directory; none if there is no such directory."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        """Whether there is a file or directory."""
        return os.path.exists(path)  # a name that cannot be one is none

    def _sync(self, path: Path, flags: int) -> None:
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a regular file that undrift writes; also an ``opener`` for ``open``.

    A symbolic link of that name is not followed, a pipe is not waited for, a device not touched.

    Raises:
        OSError: if it cannot be opened, or is another kind of file.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, and a pipe or a socket
            raise OSError(error.errno, IRREGULAR, str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, IRREGULAR, str(path))
    return descriptor


IRREGULAR = "not a regular file"

LOCAL = LocalFilesystem()
