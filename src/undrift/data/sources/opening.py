"""Which kind of source a DATA argument names."""

from __future__ import annotations

import difflib
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from undrift.data.sources.arrays import npy, npz
from undrift.data.sources.digits import digits
from undrift.data.sources.huggingface import huggingface, is_saved_dataset
from undrift.data.sources.idx import idx, idx_files
from undrift.data.sources.layout import arrange
from undrift.data.sources.mixtures import MIXTURES
from undrift.data.sources.source import Files, Rows
from undrift.data.sources.tree import Archive, Folder, is_image
from undrift.errors import DataError

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
def opened(source: str | os.PathLike[str]) -> Iterator[Files | Rows]:
    """Open the data that ``source`` names, and keep it readable inside the ``with`` block.

    Raises:
        DataError: nothing there, or nothing that is known.
    """
    name = os.fspath(source)
    if name in BUILT_IN:
        yield BUILT_IN[name]()
        return
    if not is_path(name):
        yield huggingface(name.removeprefix(HUB))
        return
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(//|[^/\\])", name) and not os.path.exists(name):
        raise DataError(
            f"{name!r} is an address, not a path: download it first, then give the path"
        )
    path = Path(name).expanduser()
    mode = existing(path)
    if stat.S_ISDIR(mode):
        yield from_folder(path)
    elif not stat.S_ISREG(mode):
        raise DataError(f"{name} is not a regular file or folder: give {KINDS}")
    elif path.suffix.lower() == ".npz":
        yield npz(path)
    elif path.suffix.lower() == ".npy":
        yield npy(path)
    elif is_image(path.name):
        raise DataError(f"{name} is a single image: give the folder it lies in")
    elif zipfile.is_zipfile(path):
        archive = Archive(path)
        try:
            yield arrange(archive, name)
        finally:
            archive.close()
    else:
        raise DataError(f"{name} is no data that undrift reads: give {KINDS}")


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
    names = {str(path.parent / name) if path.parent != Path() else name: name for name in beside}
    by_name = {name: full for full, name in names.items()}
    by_name |= {name: name for name in BUILT_IN}
    close = difflib.get_close_matches(path.name, by_name, n=1, cutoff=0.6)
    return by_name[close[0]] if close else None


def from_folder(path: Path) -> Files | Rows:
    """Read a folder: a saved Hugging Face data set, idx files, or a tree of images."""
    try:
        if is_saved_dataset(path):
            return huggingface(path)
        if idx_files(path):
            return idx(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    files = arrange(Folder(path), str(path))
    if not files.entries and not files.set_aside:
        inside = sorted(
            item.name for item in path.iterdir() if item.suffix in (".npz", ".npy", ".zip")
        )
        hint = f"; it holds {inside[0]}: give that file" if inside else ""
        raise DataError(f"no images in {str(path)!r}{hint or ': it is empty of image files'}")
    return files
