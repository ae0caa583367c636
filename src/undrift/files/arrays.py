"""NumPy's ``.npy`` and ``.npz`` files, read without trust: nothing is unpickled or overbooked.

A header of a hundred bytes can promise terabytes, and a zip of a megabyte can hold a gigabyte of
zeros. So a header is compared with the bytes that are there before memory is taken, and what
inflates more than `MOST_INFLATED`-fold is refused where it is large. Format:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Collection, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from undrift.errors import one_line, shown
from undrift.files.reading import Failure, open_regular, unreadable

MOST_INFLATED = 100
"""Bytes that one compressed byte may become; images come to 5, drawings to 20."""

SMALL = 256 * 2**20
"""Bytes that anything may become."""

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 64 * 2**10
_MOST_DIMENSIONS = 32
_MOST_MEMBERS = 10_000
_PLAIN = re.compile(r"[|<>=]?[biufUS][0-9]{0,9}|[|<>=]?\?")
"""Types of elements: booleans, numbers and text."""
_BLOCK = 2**24


def read_npy(path: str | os.PathLike[str], error: Failure, advice: str) -> NDArray[Any]:
    """The one array of a ``.npy`` file.

    Raises:
        UndriftError: an ``error``: it cannot be read, or is not such a file.
    """
    with _opened(path, error, advice) as file:
        try:
            return _array(file, os.fstat(file.fileno()).st_size)
        except (OSError, ValueError, MemoryError) as fault:
            raise error(f"{path} cannot be read as .npy: {one_line(fault)}; {advice}") from fault


def read_npz(
    path: str | os.PathLike[str], names: Collection[str] | None, error: Failure, advice: str
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Arrays of a ``.npz`` file.

    Args:
        path: the file.
        names: of the arrays to read; others are not read. None: all.
        error: the class of error to raise.
        advice: what to do; the message ends with it.

    Returns:
        the arrays among ``names`` that are there, and the names of all arrays.

    Raises:
        UndriftError: an ``error``: it cannot be read, or is not such a file.
    """
    with _opened(path, error, advice) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
                if len(members) > _MOST_MEMBERS:
                    raise ValueError(f"it has {len(members):,} members")
                wanted = [name for name in members if names is None or name in names]
                return {name: _member(archive, members[name]) for name in wanted}, list(members)
        except Exception as fault:
            # zipfile and its decompressors raise a dozen kinds for what is damaged or encrypted
            raise error(f"{path} cannot be read as .npz: {one_line(fault)}; {advice}") from fault


def check_inflated(name: str, size: int, packed: int) -> None:
    """Refuse what is small in its file and huge in memory.

    Args:
        name: what it is, for the message.
        size: bytes in memory.
        packed: bytes in the file.

    Raises:
        ValueError: ``size`` is above `SMALL` and more than `MOST_INFLATED` times ``packed``.
    """
    if size > SMALL and size > MOST_INFLATED * packed:
        raise ValueError(
            f"{name} would inflate from {packed:,} to {size:,} bytes, more than "
            f"{MOST_INFLATED}-fold: store it uncompressed"
        )


def filled(file: BinaryIO, size: int) -> NDArray[np.uint8]:
    """The next ``size`` bytes of ``file``, read block by block.

    Raises:
        ValueError: there are fewer.
    """
    data = np.empty(size, np.uint8)
    done = 0
    while done < size:
        # readinto() of a compressed file takes what one read() returns
        block = file.read(min(_BLOCK, size - done))
        if not block:
            raise ValueError(f"it ends after {done:,} of {size:,} bytes")
        data[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    return data


def _opened(path: str | os.PathLike[str], error: Failure, advice: str) -> BufferedReader:
    try:
        return open_regular(Path(path))
    except OSError as fault:
        raise unreadable(path, fault, error, advice) from fault


def npz_bytes(arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> bytes:
    """The bytes of an npz file of ``arrays``, by name."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.flag_bits & 1:
        raise ValueError(f"{shown(member.filename)} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # an LZMA member of a few bytes may need a dictionary of 4 GB
        raise ValueError(f"{shown(member.filename)} is not compressed as np.savez_compressed does")
    check_inflated(shown(member.filename), member.file_size, member.compress_size)
    with archive.open(member) as file:
        return _array(file, member.file_size)  # type: ignore[arg-type]


def _array(file: BinaryIO, size: int) -> NDArray[Any]:
    """The array in ``file``, which has ``size`` bytes."""
    dtype, shape, fortran, begin = _header(file)
    count = math.prod(shape)
    there = size - begin
    if count * dtype.itemsize != there:
        raise ValueError(
            f"it has {there:,} bytes of values, and its header promises {shown(shape)} of {dtype}"
        )
    flat = filled(file, there).view(dtype) if there else np.empty(0, dtype)
    if file.read(1):
        raise ValueError("it is longer than its directory says")
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """Type, shape, whether the first index runs fastest, and how many bytes all that takes."""
    start = file.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 2:
        raise ValueError("it is damaged, no NumPy file, or holds objects")
    major, minor = start[-2:]
    if minor or major not in (1, 2, 3):
        raise ValueError(f"it has format {major}.{minor}, and 1.0, 2.0 and 3.0 are known")
    length_bytes = file.read(2 if major == 1 else 4)
    length = int.from_bytes(length_bytes, "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header has {length:,} bytes, more than the {_LONGEST_HEADER:,} read")
    text = file.read(length)
    if len(text) < length or not length_bytes:
        raise ValueError("it ends inside its header")
    try:
        said = ast.literal_eval(text.decode("utf-8" if major == 3 else "latin-1").strip())
        dtype, shape, fortran = _said(said)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, struct.error) as fault:
        raise ValueError(f"its header is damaged ({one_line(fault)})") from fault
    return dtype, shape, fortran, len(start) + len(length_bytes) + length


def _said(header: object) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"wanted descr, fortran_order and shape, found {shown(header)}")
    descr, shape, fortran = header["descr"], header["shape"], header["fortran_order"]
    if not isinstance(descr, str) or not _PLAIN.fullmatch(descr):
        raise ValueError(f"it holds {shown(descr)}: objects and records are not read")
    counts = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**62 for n in shape)
    if not counts or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"no array has the shape {shown(shape)}")
    if not isinstance(fortran, bool):
        raise ValueError(f"fortran_order is {shown(fortran)}")
    dtype = np.dtype(descr)
    if not dtype.itemsize:
        raise ValueError(f"elements of {shown(descr)} have no size")
    return dtype, shape, fortran
