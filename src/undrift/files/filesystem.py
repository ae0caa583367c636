"""The few filesystem operations that durable files and directories are made of.

One seam, so that a test can record the operations and rebuild every directory a power cut could
leave behind.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from undrift.files.reading import regular_bytes


class Filesystem(Protocol):
    """What a store asks of a filesystem. Every method raises ``OSError`` on failure."""

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
        """Rename a directory atomically within its parent; ``target`` does not exist."""
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
        """Rename a directory atomically within its parent; ``target`` does not exist."""
        os.rename(source, target)

    def remove_tree(self, path: Path) -> None:
        """Delete a directory and what is in it."""
        shutil.rmtree(path)

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
        return path.exists()

    def _sync(self, path: Path, flags: int) -> None:
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


LOCAL = LocalFilesystem()
