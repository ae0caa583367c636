"""Which kind of source a DATA argument names."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from undrift.data.sources.arrays import npy, npz
from undrift.data.sources.digits import digits
from undrift.data.sources.filetypes import is_photo
from undrift.data.sources.huggingface import huggingface, is_saved_dataset
from undrift.data.sources.idx import idx, idx_files
from undrift.data.sources.layout import arrange
from undrift.data.sources.mixtures import MIXTURES
from undrift.data.sources.source import DEFAULT, Columns, Files, Rows
from undrift.data.sources.tree import Archive, Folder
from undrift.errors import DataError, UsageError, one_line
from undrift.names import nearest

BUILT_IN: dict[str, Callable[[], Rows]] = {
    "digits": digits,
    **{name: mixture.rows for name, mixture in MIXTURES.items()},
}
"""Data that come with us, by name."""

KINDS = f"a folder or zip of images, .npz, .npy, an idx folder, or a name: {', '.join(BUILT_IN)}"


HUB = "hf:"
"""What the name of a Hugging Face data set begins with."""


def is_path(name: str) -> bool:
    """Whether ``name`` is a path of this machine: no built-in name, and no ``hf:NAME``."""
    return name not in BUILT_IN and not name.startswith(HUB)


@contextmanager
def opened(source: str | os.PathLike[str], columns: Columns = DEFAULT) -> Iterator[Files | Rows]:
    """Open the data that ``source`` names, and keep it readable inside the ``with`` block.

    Args:
        source: what the user named.
        columns: which columns of metadata are read.

    Raises:
        DataError: nothing there, or nothing that is known.
        UsageError: a column for data without columns.
    """
    name = os.fspath(source)
    if name in BUILT_IN:
        yield without_columns(BUILT_IN[name](), name, columns)
        return
    if not is_path(name):
        yield huggingface(name.removeprefix(HUB), columns)
        return
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(//|[^/\\])", name) and not os.path.exists(name):
        raise DataError(
            f"{name!r} is an address, not a path: download it first, then give the path"
        )
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # "~nobody", or no home at all
        raise DataError(f"{name!r}: {one_line(error)}: give the whole path") from error
    mode = existing(path)
    if stat.S_ISDIR(mode):
        yield from_folder(path, columns)
    elif not stat.S_ISREG(mode):
        raise DataError(f"{name} is not a regular file or folder: give {KINDS}")
    elif path.suffix.lower() in (".npz", ".npy"):
        if path.suffix.lower() == ".npz":
            rows = npz(path, columns.numbers, columns.maps)
            columns = replace(columns, numbers=(), maps=())
        else:
            rows = npy(path)
        yield without_columns(rows, name, columns)
    elif is_photo(path.name):
        raise DataError(f"{name} is a single image: give the folder it lies in")
    elif is_zip(path):
        archive = Archive(path)
        try:
            files = arrange(archive, name, columns)
            if not files.entries and not files.set_aside:
                raise DataError(no_images(name, files))
            yield files
        finally:
            archive.close()
    else:
        raise DataError(f"{name} is no data that undrift reads: give {KINDS}")


def without_columns(rows: Rows, name: str, columns: Columns) -> Rows:
    """Return ``rows``, which have no columns to choose from.

    Raises:
        UsageError: one is requested.
    """
    for argument, column in columns.requested.items():
        raise UsageError(
            f"{argument} {column!r}: {name} has no columns, only metadata.csv, "
            "metadata.jsonl and Hugging Face data have (numbers and maps may be arrays of an "
            ".npz); "
            "leave it out"
        )
    return rows


def is_zip(path: Path) -> bool:
    """Whether the file is a zip.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return zipfile.is_zipfile(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def existing(path: Path) -> int:
    """Return the mode of what lies at ``path``.

    Raises:
        DataError: nothing there (with a near name, if there is one), or no access.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        near = near_name(path)
        hint = f"did you mean {near!r}?" if near else f"give {KINDS}"
        if not near and any(map(str.isspace, str(path))):
            hint = f"models are trained on images, not from a prompt; {hint}"
        raise DataError(f"no data at {str(path)!r}: {hint}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error


def near_name(path: Path) -> str | None:
    """Return the path beside ``path``, or the built-in name, whose spelling is nearest."""
    try:
        beside = [item.name for item in path.parent.iterdir()]
    except OSError:
        beside = []
    names = {name: str(path.parent / name) if path.parent != Path() else name for name in beside}
    names |= {name: name for name in BUILT_IN}
    near = nearest(path.name, names)
    return None if near is None else names[near]


def from_folder(path: Path, columns: Columns) -> Files | Rows:
    """Read a folder: a saved Hugging Face data set, idx files, or a tree of images."""
    try:
        if is_saved_dataset(path):
            return huggingface(path, columns)
        if idx_files(path):
            return without_columns(idx(path), str(path), columns)
        packed = sorted(
            item.name for item in path.iterdir() if item.suffix in (".npz", ".npy", ".zip")
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    files = arrange(Folder(path), str(path), columns)
    if not files.entries and not files.set_aside:
        hint = f"; it holds {packed[0]}: give that file" if packed else ""
        raise DataError(no_images(str(path), files) + hint)
    return files


def no_images(where: str, files: Files) -> str:
    """Return the message for data without a single image."""
    found = ", ".join(f"{number:,} {kind}" for kind, number in most_common(files.ignored))
    return f"no images in {where!r}: " + (f"it holds {found}" if found else "it is empty")


def most_common(counts: Mapping[str, int], most: int = 6) -> list[tuple[str, int]]:
    """Return the first ``most`` kinds by their number, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
