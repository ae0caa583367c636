"""A tree of files, in a folder or in a zip: names, and a way to read each of them."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from undrift.data.sources.source import LARGEST_FILE, SetAside, printable
from undrift.errors import DataError

SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
        *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Extensions of image files, in lower case; which format it is, the content says."""

MOST_MEMBERS = 5_000_000


class Tree(Protocol):
    """Files by their relative names, which use ``/``.

    Attributes:
        kind: the tree in words.
        names: regular files that lie inside the tree, sorted; the rest is in ``set_aside``.
        set_aside: refused names and why.
    """

    kind: str
    names: list[str]
    set_aside: dict[str, str]

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; OSError or ValueError where that is not possible."""
        ...


def is_image(name: str) -> bool:
    """Whether the name has an image's extension."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def refusals(tree: Tree) -> tuple[SetAside, ...]:
    """Return what the tree refused, as entries of the report."""
    return tuple(
        SetAside(printable(name), reason) for name, reason in sorted(tree.set_aside.items())
    )


class Folder:
    """The files below ``root``. Links out of it, pipes and devices are refused, never opened."""

    def __init__(self, root: Path) -> None:
        self.kind = "folder"
        self.root = root
        self.names: list[str] = []
        self.set_aside: dict[str, str] = {}
        self._real_root = os.path.realpath(root)
        folders = [""]
        while folders:
            folders += self._scan(folders.pop())
        self.names.sort(key=os.fsencode)

    def _scan(self, prefix: str) -> list[str]:
        """Take in one folder's files; returns its subfolders."""
        try:
            found = list(os.scandir(os.path.join(self.root, prefix)))
        except OSError as error:
            if not prefix:
                raise DataError(f"{self.root} cannot be read: {error.strerror}") from error
            self.set_aside[prefix.rstrip("/")] = f"folder cannot be read: {error.strerror}"
            return []
        folders: list[str] = []
        for item in found:
            name = prefix + item.name
            if item.name.startswith("."):
                # Hidden: .DS_Store, AppleDouble's ._photo.jpg, .git.
                continue
            if item.is_dir(follow_symlinks=False):
                folders.append(name + "/")
                continue
            reason = self._refusal(item)
            if reason is None:
                self.names.append(name)
            elif is_image(name) or item.is_dir():
                self.set_aside[name] = reason
        return folders

    def _refusal(self, item: os.DirEntry[str]) -> str | None:
        if item.is_symlink():
            real = os.path.realpath(item.path)
            if os.path.commonpath([real, self._real_root]) != self._real_root:
                return "symlink that leaves the folder"
            if os.path.isdir(real):
                return "symlink to a folder, not followed"
        try:
            mode = item.stat().st_mode
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if stat.S_ISREG(mode) else "not a regular file"

    def read(self, name: str) -> bytes:
        """Return the bytes of one file."""
        path = os.path.join(self.root, name)
        # O_NONBLOCK: a pipe that took the file's place since the walk must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > LARGEST_FILE:
                raise ValueError(f"larger than {LARGEST_FILE // 2**20} MiB")
            return file.read()


class Archive:
    """The members of a zip, read as a stream and never extracted; a name is a key, not a path."""

    def __init__(self, path: Path) -> None:
        self.kind = "zip"
        self.names: list[str] = []
        self.set_aside: dict[str, str] = {}
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{path} cannot be read as a zip: {error}") from error
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            self.close()
            raise DataError(f"{path} has {len(members)} members; at most {MOST_MEMBERS} are read")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._add(member)
        self.names = sorted(self._members)

    def _add(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
            self.set_aside[name] = "absolute name"
        elif ".." in parts:
            self.set_aside[name] = "name that leaves the archive ('..')"
        elif stat.S_ISLNK(member.external_attr >> 16):
            self.set_aside[name] = "symlink"
        elif member.is_dir() or any(part.startswith(".") or part == "__MACOSX" for part in parts):
            return
        elif member.flag_bits & 1:
            self.set_aside[name] = "encrypted"
        elif member.file_size > LARGEST_FILE:
            self.set_aside[name] = f"larger than {LARGEST_FILE // 2**20} MiB"
        elif name in self._members:
            # The first member of a name stands: the later one could shadow what was checked.
            self.set_aside[f"{name} (again)"] = "second member of this name"
        else:
            self._members[name] = member

    def read(self, name: str) -> bytes:
        """Return the bytes of one member, its checksum verified."""
        member = self._members[name]
        try:
            with self._zip.open(member) as file:
                # The stored size can lie: never take in more than it promised.
                data = file.read(member.file_size + 1)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            zlib.error,
        ) as error:
            raise ValueError(f"damaged in the archive: {error}") from error
        if len(data) != member.file_size:
            raise ValueError("damaged in the archive: not the size it promises")
        return data

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
