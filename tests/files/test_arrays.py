"""NumPy's files: what they hold comes out, what they promise is checked before memory is taken."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from undrift.errors import DataError
from undrift.files import arrays
from undrift.files.arrays import read_npy, read_npz

ADVICE = "wanted arrays"


def npy(header: str | bytes, data: bytes = bytes(64), version: int = 1) -> bytes:
    text = header.encode() if isinstance(header, str) else header
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def said(descr: str = "'|u1'", fortran: str = "False", shape: str = "(8, 8)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"


def saved(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read(tmp_path: Path, data: bytes) -> NDArray[Any]:
    (tmp_path / "a.npy").write_bytes(data)
    return read_npy(tmp_path / "a.npy", DataError, ADVICE)


def refused(tmp_path: Path, data: bytes, suffix: str) -> str:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"cannot be read as {suffix}: .*; wanted arrays") as caught:
        if suffix == ".npz":
            read_npz(path, ("images",), DataError, ADVICE)
        else:
            read_npy(path, DataError, ADVICE)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        np.array(["a", "béc"]),
        np.array([b"a"]),
        np.array(3.5),
        np.zeros((0, 5), np.float32),
        np.array([1, 2], ">i8"),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_what_numpy_writes_is_read(tmp_path: Path, array: NDArray[Any]) -> None:
    for found in (
        read(tmp_path, saved(array)),
        _only(tmp_path, zipped({"images.npy": saved(array)})),
        _only(tmp_path, zipped({"images.npy": saved(array)}, zipfile.ZIP_STORED)),
    ):
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def _only(tmp_path: Path, data: bytes) -> NDArray[Any]:
    (tmp_path / "a.npz").write_bytes(data)
    found, names = read_npz(tmp_path / "a.npz", None, DataError, ADVICE)
    assert names == ["images"]
    return found["images"]


@pytest.mark.parametrize("version", [2, 3])
def test_the_later_formats_are_read(tmp_path: Path, version: int) -> None:
    assert read(tmp_path, npy(said(), version=version)).shape == (8, 8)


FAULTS = {
    "more than there is": (npy(said(shape="(1000000000, 8, 8)")), "64 bytes of values"),
    "an overflow": (npy(said(shape="(9223372036854775807, 8)")), "no array has the shape"),
    "a number of 400 digits": (npy(said(shape=f"({'9' * 400},)")), "no array has the shape"),
    "less than there is": (npy(said(shape="(8, 7)")), "64 bytes of values"),
    "a negative size": (npy(said(shape="(-8, -8)")), "no array has the shape"),
    "a bool for a size": (npy(said(shape="(True, 64)")), "no array has the shape"),
    "a fraction for a size": (npy(said(shape="(8.0, 8)")), "no array has the shape"),
    "sizes in a list": (npy(said(shape="[8, 8]")), "no array has the shape"),
    "a hundred dimensions": (npy(said(shape=f"({'1,' * 100})"), b"1"), "no array has the shape"),
    "objects": (npy(said(descr="'|O'"), b"\x80\x04N."), "objects and records are not read"),
    "records": (npy(said(descr="[('a', '<i4')]")), "objects and records are not read"),
    "no type": (npy(said(descr="1")), "objects and records are not read"),
    "another type": (npy(said(descr="'|V8'")), "objects and records are not read"),
    "several types": (npy(said(descr="'<u1,<u2'")), "objects and records are not read"),
    "text of a gigabyte": (npy(said(descr="'<U1000000000'")), ""),
    "order": (npy(said(fortran="3")), "fortran_order"),
    "half a header": (npy("{'descr'"), "header is damaged"),
    "no mapping": (npy("[1]"), "header is damaged"),
    "other keys": (npy("{1: 2, 'a': 3}"), "header is damaged"),
    "a nested header": (npy("(" * 5000 + ")" * 5000), "header is damaged"),
    "a long header": (npy(" " * 10**6 + said(), version=2), "its header has 1,000,0"),
    "a header of 4 GB": (npy(said(), version=2)[:8] + b"\xff" * 104, "its header has 4,294"),
    "a header of other bytes": (npy(b"\xff\xfe{", version=3), "header is damaged"),
    "another format": (npy(said(), version=2)[:6] + b"\x09\x00" + bytes(70), "has format 9.0"),
    "a cut header": (npy(said())[:9], "ends inside its header"),
    "no header": (b"\x93NUMPY", "no NumPy file"),
    "nothing": (b"", "no NumPy file"),
    "a pickle": (b"\x80\x04N.", "no NumPy file"),
}


@pytest.mark.parametrize(("data", "message"), FAULTS.values(), ids=FAULTS)
def test_headers_that_lie(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refused(tmp_path, data, ".npy")
    assert message in refused(tmp_path, zipped({"images.npy": data}), ".npz")


def patched(offsets: tuple[int, int], value: bytes) -> bytes:
    """A zip with ``value`` at these offsets of its two headers."""
    data = bytearray(zipped({"images.npy": npy(said())}))
    for mark, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offsets, strict=True):
        at = data.index(mark) + offset
        data[at : at + len(value)] = value
    return bytes(data)


ZIPS = {
    "encrypted": (patched((6, 8), b"\x01\x00"), "is encrypted"),
    "compressed in another way": (patched((8, 10), b"\x09\x00"), "is not compressed as"),
    "LZMA": (zipped({"images.npy": npy(said())}, zipfile.ZIP_LZMA), "is not compressed as"),
    "of a later version": (patched((4, 6), b"\xff\x00"), "version"),
    "damaged": (patched((14, 16), b"abcd"), "CRC"),
    "cut": (zipped({"images.npy": npy(said())})[:-30], "zip"),
    "no zip": (npy(said()), "zip"),
    "empty": (b"", "zip"),
}


@pytest.mark.parametrize(("data", "message"), ZIPS.values(), ids=ZIPS)
def test_zips_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refused(tmp_path, data, ".npz")


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(zipped({"images.npy": npy(said()), "other.npy": b"junk"}))
    found, names = read_npz(path, ("images",), DataError, ADVICE)
    assert list(found) == ["images"]
    assert names == ["images", "other"]


def test_kilobytes_do_not_become_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SMALL", 2**20)
    black = zipped({"images.npy": npy(said(shape=f"({2**21},)"), bytes(2**21))})
    assert len(black) < 2**13
    assert "would inflate from" in refused(tmp_path, black, ".npz")
    small = zipped({"images.npy": npy(said(shape=f"({2**19},)"), bytes(2**19))})
    assert _only(tmp_path, small).shape == (2**19,)
    stored = zipped(
        {"images.npy": npy(said(shape=f"({2**21},)"), bytes(2**21))}, zipfile.ZIP_STORED
    )
    assert _only(tmp_path, stored).shape == (2**21,)
