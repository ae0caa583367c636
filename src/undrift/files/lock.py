"""The lock that keeps two writers out of a folder.

``flock`` on the file ``LOCK``: the kernel frees it when its holder dies, however it dies, so there
is no stale lock to clean up. What the file says is only for the message; nobody trusts it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import weakref
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from undrift.advice import possible
from undrift.errors import UsageError
from undrift.files.filesystem import open_own

NAME = "LOCK"
_TRIES, _PAUSE = 4, 0.01


class FileLock:
    """Exclusive right to write into ``directory``, from ``acquire`` to ``release``.

    The directory must exist. The file is removed while the lock is still held; whoever opened it
    just before finds, once the lock is theirs, that it has lost its name, and tries again.

    Args:
        directory: what to lock.
        name: of the file in it; another name is another lock.
    """

    def __init__(self, directory: str | os.PathLike[str], name: str = NAME) -> None:
        self.directory = Path(directory)
        self._path = self.directory / name
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, wait: bool = False) -> None:
        """Take the lock.

        Args:
            wait: until it is free; by default fail at once.

        Raises:
            UsageError: if another process (or another ``FileLock``) holds it, or the directory
                cannot be written.
        """
        if self.held:
            return
        descriptor = self._locked(wait)
        while not self._is_file(descriptor):
            os.close(descriptor)
            descriptor = self._locked(wait)
        self._descriptor = descriptor
        _held.add(self)
        self._describe(descriptor)

    def taken(self) -> bool:
        """Whether anyone holds the lock now; nothing is made or written."""
        if self.held:
            return True
        try:
            descriptor = open_own(self._path, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Free the lock and remove its file; nothing happens if it is not held."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # a file that stays is no lock
            if self._is_file(self._descriptor):
                self._path.unlink()
        self._forget()

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

    def _locked(self, wait: bool) -> int:
        """A descriptor of the file, locked."""
        try:
            descriptor = open_own(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UsageError(
                f"{self.directory} cannot be written ({self._path.name}: {error.strerror}); "
                + possible("choose another {out}", "change its mode")
            ) from error
        try:
            _flock(descriptor, wait)
        except OSError as error:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                hint = possible("wait for it, stop it or choose another {out}", "wait or stop it")
                raise UsageError(
                    f"{self.directory} is being written by another process "
                    f"({holder or 'unknown'}); {hint}"
                ) from error
            hint = possible(
                "choose an {out} on a filesystem with flock", "its filesystem lacks flock"
            )
            raise UsageError(
                f"{self.directory} cannot be locked ({error.strerror}); {hint}"
            ) from error
        return descriptor

    def _is_file(self, descriptor: int) -> bool:
        """Whether the file's name still leads to the file that is locked."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def _describe(self, descriptor: int) -> None:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        except OSError:
            # A full disk may not stop a run from holding its lock: the text is only a courtesy.
            os.ftruncate(descriptor, 0)

    def _forget(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self)


def _flock(descriptor: int, wait: bool) -> None:
    """Lock the file; `FileLock.taken` of another process may hold it for an instant."""
    for _ in range(0 if wait else _TRIES - 1):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """Close a forked child's copies: a surviving child would keep its dead parent's lock."""
    for lock in list(_held):
        lock._forget()


os.register_at_fork(after_in_child=_forget_in_child)
