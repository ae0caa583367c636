"""What may be replaced: nothing, empty files, and files that undrift wrote."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.files.destination import writable_file, writable_folder
from undrift.files.durable import write_file, write_output
from undrift.files.ownership import written_by_undrift


def irregular(folder: Path) -> dict[str, Path]:
    """One of every kind that is no regular file, and links to them."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket is short
        made.bind("socket")
        os.chdir(here)
    (folder / "target").write_bytes(b"precious")
    (folder / "link").symlink_to("target")
    (folder / "dangling").symlink_to("absent")
    (folder / "link to a pipe").symlink_to("pipe")
    (folder / "link to a device").symlink_to("/dev/null")
    names = ("pipe", "socket", "link", "dangling", "link to a pipe", "link to a device")
    return {"device": Path("/dev/null")} | {name: folder / name for name in names}


def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    for name, path in irregular(tmp_path).items():
        before = os.lstat(path)
        for write in (
            lambda path=path: writable_file("--out", path),
            lambda path=path: write_output(path, b"data"),
            lambda path=path: write_output(path, b"data", owned=True),
        ):
            with pytest.raises(UsageError, match=r"(?i)regular file") as caught:
                write()
            assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        with pytest.raises(OSError, match="not a regular file"):
            write_file(path, b"data")
        assert os.path.samestat(before, os.lstat(path)), name
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert not any(name.endswith(".partial") for name in os.listdir(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"notes",
        b'{"version": 2, "target": "x"}',
        b'{"images": []}',
        b"number,name\n1,a\n",
        b"\x89PNG\r\n\x1a\n" + b"tEXtSoftware\x00GIMP",
        b"PK\x05\x06" + bytes(18),
        b"\x00",
    ],
)
def test_a_file_of_the_user_s_own_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for write in (
        lambda: writable_file("--npz", path),
        lambda: write_output(path, b"", flag="--npz"),
    ):
        with pytest.raises(
            UsageError, match="--npz .*undrift did not write is there; remove it or"
        ):
            write()
    assert path.read_bytes() == content
    write_output(path, b"known", owned=True)  # in a folder that is undrift's


def test_an_npz_of_the_user_s_own_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.zeros((2, 4, 4, 1), np.uint8))
    (tmp_path / "data.npz").write_bytes(buffer.getvalue())
    assert not written_by_undrift(tmp_path / "data.npz")


def test_an_empty_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "made by mktemp").touch()
    writable_file("--out", tmp_path / "made by mktemp")
    write_output(tmp_path / "made by mktemp", b"data")
    assert (tmp_path / "made by mktemp").read_bytes() == b"data"


@pytest.mark.parametrize("check", [writable_file, writable_folder])
def test_names_that_cannot_be(tmp_path: Path, check) -> None:
    for name, told in (
        ("x" * 256, "a name of 256 bytes; 255 at most"),
        ("é" * 128 + "/file", "a name of 256 bytes"),
        ("a\0b", "a NUL"),
        ("/proc/file", "can't be written"),  # nobody can, not even root
        (f"{tmp_path}/file/below", "file"),
    ):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(UsageError, match=told) as caught:
            check("--out", tmp_path / name)
        assert len(str(caught.value)) < 300
    (tmp_path / "folder").mkdir()
    check("--out", tmp_path / "folder" / ".." / ("x" * 255))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
