"""The lock that keeps two writers out of a run directory.

``flock`` on the file ``LOCK``: the kernel frees it when its holder dies, however it dies, so there
is no stale lock to clean up. What the file says is only for the message; nobody trusts it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from undrift.errors import UsageError

NAME = "LOCK"


class FileLock:
    """Exclusive right to write into ``directory``, from ``acquire`` to ``release``.

    The directory must exist. The file stays behind when the lock is freed: removing it would let
    two processes hold locks on two files of the same name.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, or fail at once.

        Raises:
            UsageError: if another process (or another ``FileLock``) holds it, or the directory
                cannot be written.
        """
        if self.held:
            return
        path = self.directory / NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(
                f"{self.directory} cannot be written ({error.strerror}); choose another --out"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise UsageError(
                    f"{self.directory} is being written by another process "
                    f"({holder or 'unknown'}); wait for it, stop it or choose another --out"
                ) from error
            raise UsageError(
                f"{self.directory} cannot be locked ({error.strerror}); choose an --out on a "
                "filesystem with flock"
            ) from error
        self._descriptor = descriptor
        _held.add(self)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        except OSError:
            # A full disk may not stop a run from holding its lock: the text is only a courtesy.
            os.ftruncate(descriptor, 0)

    def release(self) -> None:
        """Free the lock; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """Close a forked child's copies: a surviving child would keep its dead parent's lock."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)
