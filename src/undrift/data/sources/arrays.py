"""Images in NumPy's ``.npz`` and ``.npy`` files. Nothing in them is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from undrift.data.sources.source import Rows, ordered_classes
from undrift.errors import DataError

KEYS = ("images", "labels", "class_names")
BROKEN = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file that is damaged, pickled, or not its own."""


def npz(path: Path) -> Rows:
    """Read ``images`` uint8 (N,H,W[,C]), and ``labels`` int (N,) and ``class_names`` if there.

    Raises:
        DataError: anything else, with what was found.
    """
    try:
        # Opened here: NumPy leaves a file open that turns out to be no zip.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise ValueError("it holds one bare array: name it .npy")
            members = {key: archive[key] for key in archive.files if key in KEYS}
            found = ", ".join(archive.files) or "nothing"
    except BROKEN as error:
        raise DataError(f"{path} cannot be read as .npz: {_reason(error)}") from error
    if "images" not in members:
        raise DataError(f"{path} holds no 'images' (it holds {found}): name the array 'images'")
    images = checked_images(members["images"], path)
    if "labels" not in members:
        return Rows("npz", images)
    labels, names = indexed_labels(
        members["labels"], members.get("class_names"), len(images), str(path)
    )
    return Rows("npz", images, labels, names)


def npy(path: Path) -> Rows:
    """Read one array of images, uint8 (N,H,W[,C]).

    Raises:
        DataError: anything else, with what was found.
    """
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays: name it .npz")
    except BROKEN as error:
        raise DataError(f"{path} cannot be read as .npy: {_reason(error)}") from error
    return Rows("npy", checked_images(array, path))


def checked_images(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Return ``images`` as uint8 (N,H,W,C).

    Raises:
        DataError: another dtype or shape.
    """
    if images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}, not uint8: scale them to 0..255 first")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise DataError(f"{path}: images have shape {images.shape}, not (N,H,W) or (N,H,W,C)")
    if not 1 <= images.shape[3] <= 4:
        hint = ""
        if images.shape[1] <= 4:
            hint = ": channels come last, use images.transpose(0, 2, 3, 1)"
        raise DataError(f"{path}: images have {images.shape[3]} channels, not 1 to 4{hint}")
    if images.size == 0:
        raise DataError(f"{path} holds no images: its shape is {images.shape}")
    return images


def indexed_labels(
    labels: NDArray[Any], class_names: NDArray[Any] | None, count: int, where: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels as indices, and the names they index.

    Without ``class_names`` the classes are the distinct values, named by their value.

    Raises:
        DataError: wrong dtype, shape or range, naming the first rows at fault.
    """
    if labels.shape != (count,):
        raise DataError(f"{where}: labels have shape {labels.shape}, not ({count},)")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: labels are {labels.dtype}, not integers")
    labels = labels.astype(np.int64)
    if class_names is None:
        refuse_rows(labels < 0, "negative", where)
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), tuple(str(value) for value in values)
    if class_names.ndim != 1 or class_names.dtype.kind not in "US":
        raise DataError(f"{where}: class_names must be one row of text, not {class_names.dtype}")
    if class_names.dtype.kind == "S":
        class_names = np.char.decode(class_names, "utf-8")
    names = tuple(str(name) for name in class_names)
    if len(ordered_classes(names)) != len(names):
        raise DataError(f"{where}: class_names holds a name twice")
    refuse_rows((labels < 0) | (labels >= len(names)), f"outside 0..{len(names) - 1}", where)
    return labels, names


def refuse_rows(wrong: NDArray[np.bool_], fault: str, where: str) -> None:
    """Raise DataError naming the first rows that are ``wrong``, if any is."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
        raise DataError(f"{where}: {len(rows)} labels are {fault} (rows {shown})")


def _reason(error: BaseException) -> str:
    """What is wrong; NumPy would advise to run what is no array, which is never meant."""
    if "pickle" in str(error):
        return "it is damaged, no NumPy file, or holds objects; wanted arrays, as np.savez writes"
    return one_line(error)


def one_line(error: BaseException) -> str:
    """Return the error's message, or its type where it has none, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
