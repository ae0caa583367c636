"""MNIST's idx files, plain or gzipped: ``train-images-idx3-ubyte.gz`` and its three companions.

Format: http://yann.lecun.com/exdb/mnist - two zero bytes, a type code (8 = uint8), the number of
dimensions, each dimension as a big-endian uint32, then the values.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from undrift.data.sources.arrays import checked_images, indexed_labels
from undrift.data.sources.source import Rows
from undrift.errors import DataError, one_line
from undrift.files.arrays import check_inflated, filled
from undrift.files.reading import open_regular

NAME = re.compile(
    r"(?:.+-)?(?P<part>train|t10k|test)-(?P<what>images|labels)[.-]idx[13][.-]ubyte(?:\.gz)?"
)


def idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the folder's idx files by (part, "images" or "labels"); t10k and test are one part."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        if match and path.is_file():
            part = "train" if match["part"] == "train" else "test"
            # The same file plain and gzipped: either will do.
            found.setdefault((part, match["what"]), path)
    return found


def idx(folder: Path) -> Rows:
    """Read an idx folder; the ``t10k`` (or ``test``) files are the test split.

    Raises:
        DataError: a file is missing, damaged, or does not fit its companion.
    """
    files = idx_files(folder)
    parts = [part for part in ("train", "test") if (part, "images") in files]
    if not parts:
        raise DataError(f"{folder} holds idx labels but no idx images")
    images = [checked_images(read_idx(files[part, "images"]), folder) for part in parts]
    if len({part.shape[1:] for part in images}) > 1:
        raise DataError(f"{folder}: train and test images differ in size")
    splits = tuple(part for part, rows in zip(parts, images, strict=True) for _ in range(len(rows)))
    joined = np.concatenate(images)
    labelled = [part for part in parts if (part, "labels") in files]
    if not labelled:
        return Rows("idx", joined, splits=splits)
    if labelled != parts:
        raise DataError(f"{folder} has labels for {labelled[0]} only: add the other label file")
    values = [read_idx(files[part, "labels"]) for part in parts]
    for part, rows, labels in zip(parts, images, values, strict=True):
        if labels.shape != (len(rows),):
            raise DataError(
                f"{folder}: {len(rows)} {part} images but labels of shape {labels.shape}"
            )
    labels, names = indexed_labels(np.concatenate(values), None, len(joined), str(folder))
    return Rows("idx", joined, labels, names, splits)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of uint8 values.

    Raises:
        DataError: not idx, another type of value, or shorter or longer than its header says.
    """
    try:
        with open_regular(path) as packed:
            there = os.fstat(packed.fileno()).st_size
            if path.suffix != ".gz":
                return _values(packed, there, path, compressed=False)
            # typed as text or binary; "rb" makes it binary
            with cast("BinaryIO", gzip.open(packed, "rb")) as file:
                return _values(file, there, path, compressed=True)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error, struct.error) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error


def _values(file: BinaryIO, there: int, path: Path, compressed: bool) -> NDArray[np.uint8]:
    """What ``file`` holds, of ``there`` bytes on disk; no more than its header promises."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 8 or not 1 <= magic[3] <= 4:
        raise DataError(f"{path} is not an idx file of uint8 values")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(f"{path} ends inside its header")
    shape = struct.unpack(f">{magic[3]}I", header)
    size = math.prod(shape)
    if compressed:
        check_inflated(path.name, size, there)
    elif size != there - len(magic) - len(header):
        raise DataError(f"{path} does not hold what its header promises, {shape} values")
    data = filled(file, size)
    if file.read(1):
        raise DataError(f"{path} holds more than its header promises, {shape} values")
    return data.reshape(shape)
