"""Images in NumPy's ``.npz`` and ``.npy`` files. Nothing in them is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.advice import possible
from undrift.data.sources.source import LARGEST_NUMBER, Rows, ordered_classes
from undrift.errors import DataError, shown
from undrift.files.arrays import read_npy, read_npz
from undrift.names import printable
from undrift.options.maps import MapRequest
from undrift.wording import plural

KEYS = ("images", "labels", "class_names")
ADVICE = "wanted arrays, as np.savez or np.save writes them"


def npz(path: Path, numbers: Sequence[str] = (), maps: Sequence[MapRequest] = ()) -> Rows:
    """Read ``images`` uint8 (N,H,W[,C]), and ``labels`` int (N,) and ``class_names`` if there.

    Args:
        path: the file.
        numbers: names of further arrays (N,) of numbers.
        maps: further arrays (N, H, W[, C]).

    Raises:
        DataError: anything else, with what was found.
    """
    known = (*KEYS, *numbers, *(request.name for request in maps))
    members, there = read_npz(path, known, DataError, ADVICE)
    if "images" not in members:
        found = shown(", ".join(there) or "nothing")
        raise DataError(f"{path} holds no 'images' (it holds {found}): name the array 'images'")
    images = checked_images(members["images"], path)
    rows = Rows("npz", images)
    if "labels" in members:
        labels, names = indexed_labels(
            members["labels"], members.get("class_names"), len(images), str(path)
        )
        rows = replace(rows, labels=labels, class_names=names)
    columns = [checked_numbers(members, name, len(images), str(path)) for name in numbers]
    others = [name for name in there if name not in known]
    hint = possible("; {numbers} NAME conditions on one with a number for each image", "")
    return replace(
        rows,
        numbers=np.stack(columns, axis=1) if columns else None,
        maps=tuple(checked_map(members, request, len(images), str(path)) for request in maps),
        notes=(f"arrays not read: {printable(', '.join(others))[:200]}{hint}",) if others else (),
    )


def checked_map(
    arrays: Mapping[str, NDArray[Any]], request: MapRequest, count: int, where: str
) -> NDArray[np.uint8]:
    """Return the array of a map as uint8 (N, H, W, C).

    Raises:
        DataError: it is not there, or has another type or shape.
    """
    if request.name not in arrays or request.name in KEYS:
        raise DataError(f"{where} has no array {request.name!r} of maps")
    given = arrays[request.name]
    maps = given[..., None] if given.ndim == 3 else given
    if maps.ndim != 4 or len(maps) != count or maps.shape[3] not in (1, 3):
        raise DataError(
            f"{where}: {request.name} has shape {given.shape}, not ({count}, H, W), perhaps with "
            "3 channels behind"
        )
    if maps.dtype.kind not in "biu" or maps.min() < 0 or maps.max() > 255:
        raise DataError(f"{where}: {request.name} is {given.dtype}, wanted whole numbers 0 to 255")
    return maps.astype(np.uint8)


def checked_numbers(
    arrays: Mapping[str, NDArray[Any]], name: str, count: int, where: str
) -> NDArray[np.float64]:
    """Return the array ``name`` as float64 (count,).

    Raises:
        DataError: it is not there, or not one finite number for each image.
    """
    if name not in arrays or name in KEYS:
        raise DataError(f"{where} has no array {name!r} of numbers")
    array = arrays[name]
    if array.shape != (count,):
        raise DataError(f"{where}: {name} has shape {array.shape}, not ({count},)")
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: {name} is {array.dtype}, wanted numbers")
    values = array.astype(np.float64)
    wrong = np.flatnonzero(~(np.abs(values) <= LARGEST_NUMBER))
    if len(wrong):
        raise DataError(
            f"{where}: {name}, row {wrong[0]}, is {array[wrong[0]]}, wanted a finite number"
        )
    return values


def npy(path: Path) -> Rows:
    """Read one array of images, uint8 (N,H,W[,C]).

    Raises:
        DataError: anything else, with what was found.
    """
    array = read_npy(path, DataError, ADVICE)
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
    if labels.dtype.kind == "u":
        refuse_rows(labels > np.iinfo(np.int64).max, "larger than 2^63 - 1", where)
    labels = labels.astype(np.int64)
    if class_names is None:
        refuse_rows(labels < 0, "negative", where)
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), tuple(str(value) for value in values)
    if class_names.ndim != 1 or class_names.dtype.kind not in "US":
        raise DataError(f"{where}: class_names must be one row of text, not {class_names.dtype}")
    if class_names.dtype.kind == "S":
        try:
            class_names = np.char.decode(class_names, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: class_names are not UTF-8: store them as str") from error
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
        raise DataError(f"{where}: {plural(len(rows), 'label')} are {fault} (rows {shown})")
