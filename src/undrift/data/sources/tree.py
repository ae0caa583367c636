"""A tree of files, in a folder or in a zip: names, and a way to read each of them."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from undrift.data.sources.filetypes import is_image, is_photo, suffix_of, system_kind
from undrift.data.sources.metadata import is_table
from undrift.data.sources.source import LARGEST_FILE, SetAside
from undrift.errors import DataError, one_line
from undrift.files.reading import regular_bytes
from undrift.names import printable
from undrift.wording import plural

MOST_FILES = 5_000_000
LONGEST_PART = 255
"""Bytes of one part of a path, as in nearly every file system."""

RATIO = 100
"""Largest ratio of unpacked to packed bytes in a zip, beyond the allowances below.

Photos hardly shrink in a zip and plain bitmaps by 10 or 20; deflate reaches 1,000, bzip2 and LZMA
far more, so a few kilobytes could fill the memory.
"""

SMALL_IMAGE = 32 * 2**20
SMALL_TEXT = 4 * 2**20
SMALL_ARCHIVE = 256 * 2**20
"""Bytes that an image, another member, or the whole of a zip may unpack to whatever the ratio."""

REFUSED = "refused names"
BACK = "symlinks to a folder above"


class Tree(Protocol):
    """Files by their relative names, which use ``/``.

    Attributes:
        kind: the tree in words.
        names: regular files that lie inside the tree, sorted; and refused metadata, which would
            else be missing in silence.
        set_aside: refused images and why.
        ignored: kind of files or folders that are never data -> how many.
    """

    kind: str
    names: list[str]
    set_aside: dict[str, str]
    ignored: Counter[str]

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return the bytes of one file, ``most`` of them; OSError or ValueError if it can't be."""
        ...


def refusals(tree: Tree) -> tuple[SetAside, ...]:
    """Return what the tree refused, as entries of the report."""
    return tuple(
        SetAside(printable(name), reason) for name, reason in sorted(tree.set_aside.items())
    )


class Folder:
    """The files below ``root``. Links out of it, pipes and devices are refused, never opened.

    A symlink to another folder inside ``root`` is followed, one to a folder above itself is not:
    what lies there is read anyway.

    Raises:
        DataError: a folder that cannot be entered, whose images would be missing: it is unreadable,
            or a symlink that leaves ``root``, leads nowhere or lies in a symlinked folder.
    """

    def __init__(self, root: Path) -> None:
        self.kind = "folder"
        self.root = root
        self.names: list[str] = []
        self.set_aside: dict[str, str] = {}
        self.ignored: Counter[str] = Counter()
        self._refused: dict[str, str] = {}
        self._real_root = os.path.realpath(root)
        folders = [("", False)]
        while folders:
            prefix, linked = folders.pop()
            folders += self._scan(prefix, linked)
            if len(self.names) + len(folders) > MOST_FILES:
                raise DataError(f"{root} holds more than {MOST_FILES:,} files: give a part of it")
        self.names.sort(key=os.fsencode)

    def _scan(self, prefix: str, linked: bool) -> Iterator[tuple[str, bool]]:
        """Take in one folder's files; yields its subfolders and whether a symlink led there."""
        try:
            found = list(os.scandir(os.path.join(self.root, prefix)))
        except OSError as error:
            if not prefix:
                raise DataError(f"{self.root} cannot be read: {error.strerror}") from error
            why = f"cannot be read ({error.strerror})"
            raise self._missing(prefix.rstrip("/"), why, "make it readable") from error
        for item in found:
            name = prefix + item.name
            kind = system_kind(item.name)
            if kind is not None:
                self.ignored[kind] += 1
            elif item.is_dir(follow_symlinks=False):
                yield name + "/", linked
            elif item.is_symlink() and self._is_folder(item):
                if self._follow(item, name, linked):
                    yield name + "/", True
            else:
                reason = self._refusal(item)
                if reason is None or is_table(name):
                    self.names.append(name)
                if reason is not None and is_table(name):
                    self._refused[name] = reason
                elif reason is not None and is_photo(name):
                    self.set_aside[name] = reason
                elif reason is not None:
                    self.ignored[reason] += 1

    def _is_folder(self, item: os.DirEntry[str]) -> bool:
        """Whether a symlink leads to a folder; one that leads nowhere does by its name."""
        try:
            return stat.S_ISDIR(os.stat(item.path).st_mode)
        except OSError:
            return not suffix_of(item.name)

    def _follow(self, item: os.DirEntry[str], name: str, linked: bool) -> bool:
        """Whether to enter the folder that a symlink leads to."""
        real = os.path.realpath(item.path)
        if not os.path.isdir(real):
            raise self._missing(name, f"is a symlink to {real!r}, which cannot be reached")
        if not _within(real, self._real_root):
            raise self._missing(name, f"is a symlink to {real!r}, which lies outside {self.root}")
        if _within(os.path.realpath(os.path.dirname(item.path)), real):
            self.ignored[BACK] += 1
            return False
        if linked:
            raise self._missing(name, "is a symlink inside a symlinked folder")
        return True

    def _missing(
        self, name: str, why: str, advice: str = "move or copy the folder itself there"
    ) -> DataError:
        """The error for a folder that is not entered."""
        return DataError(
            f"{printable(str(self.root / name))} {why}, so all images in it would be missing: "
            f"{advice}, or remove it"
        )

    def _refusal(self, item: os.DirEntry[str]) -> str | None:
        if item.is_symlink() and not _within(os.path.realpath(item.path), self._real_root):
            return "symlink that leaves the folder"
        try:
            mode = item.stat().st_mode
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if stat.S_ISREG(mode) else "not a regular file"

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return the bytes of one file."""
        if name in self._refused:
            raise ValueError(self._refused[name])
        return regular_bytes(os.path.join(self.root, name), most)


class Archive:
    """The members of a zip, read as a stream and never extracted.

    A member's name is brought into one form, with ``/`` between its parts, by which it is classed,
    looked up and read.

    Raises:
        DataError: no zip, a damaged one, or one that unpacks to far more than it holds.
    """

    def __init__(self, path: Path) -> None:
        self.kind = "zip"
        self.names: list[str] = []
        self.set_aside: dict[str, str] = {}
        self.ignored: Counter[str] = Counter()
        try:
            packed = path.stat().st_size
            self._zip = zipfile.ZipFile(path)
        # Directories of damaged archives raise struct.error, EOFError and more, beside BadZipFile.
        except Exception as error:
            raise DataError(f"{path} cannot be read as a zip: {one_line(error)}") from error
        members = self._zip.infolist()
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._refused: dict[str, str] = {}
        for member in members[:MOST_FILES]:
            self._add(member)
        unpacked = sum(member.file_size for member in self._members.values())
        if len(members) > MOST_FILES or unpacked > SMALL_ARCHIVE + RATIO * packed:
            self.close()
            raise DataError(
                f"{path} holds {plural(len(members), 'member')} of {unpacked / 2**30:.1f} GiB in "
                f"{packed / 2**20:.1f} MiB: taken for a decompression bomb; "
                "unpack it yourself if you trust it, and give the folder"
            )
        self.names = sorted({*self._members, *self._refused})

    def _add(self, member: zipfile.ZipInfo) -> None:
        name = slashed(member)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        kind = next(filter(None, map(system_kind, (p for p in parts if p != ".."))), None)
        if kind is not None:
            self.ignored[kind] += 1
        elif name.endswith("/") or not parts:
            return
        elif name.startswith("/") or name[1:2] == ":":
            self._refuse(name, "absolute name")
        elif ".." in parts:
            self._refuse(name, "name that leaves the archive ('..')")
        elif any(len(os.fsencode(part)) > LONGEST_PART for part in parts):
            self._refuse(name, f"part of the name over {LONGEST_PART} bytes")
        elif stat.S_ISLNK(member.external_attr >> 16):
            self._refuse(name, "symlink")
        elif member.flag_bits & 1:
            self._refuse(name, "encrypted: unzip it with its password, and give the folder")
        elif member.file_size > LARGEST_FILE:
            self._refuse(name, too_large(LARGEST_FILE))
        elif member.file_size > RATIO * member.compress_size + (
            SMALL_IMAGE if is_image(name) else SMALL_TEXT
        ):
            self._refuse(name, f"unpacks to {member.file_size // 2**20} MiB, a decompression bomb")
        elif (key := "/".join(parts)) in self._members:
            # The first member of a name stands: the later one could shadow what was checked.
            self._refuse(key, "second member of this name", again=True)
        else:
            self._members[key] = member

    def _refuse(self, name: str, reason: str, again: bool = False) -> None:
        if is_photo(name):
            self.set_aside[f"{name} (again)" if again else name] = reason
        elif is_table(name):
            self._refused[name] = reason
        else:
            self.ignored[REFUSED] += 1

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return the bytes of one member, its checksum verified."""
        if name in self._refused:
            raise ValueError(self._refused[name])
        member = self._members[name]
        if member.file_size > most:
            raise ValueError(too_large(most))
        try:
            with self._zip.open(member) as file:
                # The stored size can lie: never take in more than it promised.
                data = file.read(member.file_size + 1)
        # Each method of compression has errors of its own (zlib, bz2, lzma); each is a reason.
        except Exception as error:
            raise ValueError(f"damaged in the archive: {one_line(error)}") from error
        if len(data) != member.file_size:
            raise ValueError("damaged in the archive: not the size it promises")
        return data

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def slashed(member: zipfile.ZipInfo) -> str:
    """Return a member's name with ``/`` between its parts, and in UTF-8 where it was written so."""
    name = member.filename
    if not member.flag_bits & 0x800:
        # Without the flag zipfile reads CP437, but macOS and others write UTF-8 and set no flag.
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = member.filename
    return name.replace("\\", "/")


def too_large(most: int) -> str:
    """The reason given for a file of more than ``most`` bytes."""
    return f"larger than {most // 2**20} MiB"


def _within(path: str, root: str) -> bool:
    """Whether ``path`` is ``root`` or lies below it; both are absolute and without symlinks."""
    return os.path.commonpath([path, root]) == root
