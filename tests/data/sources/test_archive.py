"""Zips: one bad member is set aside, an unreadable or endless archive is an error."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.data import zoo

from undrift.data import load
from undrift.data.sources import tree
from undrift.data.sources.opening import opened
from undrift.data.sources.source import Files
from undrift.errors import DataError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def image(seed: int) -> bytes:
    return zoo.png(zoo.picture(1, seed=seed), 8, 0)


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def arranged(path: Path) -> Files:
    with opened(path) as found:
        assert isinstance(found, Files)
        return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_every_damage_to_one_member(tmp_path: Path, method: int) -> None:
    """One bad member is one image set aside, whichever error its decompressor raises."""
    path = packed(tmp_path / "a.zip", {f"{i}.png": image(i) for i in range(3)}, method)
    sound = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        member = file.getinfo("1.png")
    start = member.header_offset + 30 + len(member.filename)
    assert len(load(path)) == 3
    lost = 0
    for at in (0, 5, 9, member.compress_size // 2, member.compress_size - 1):
        damaged = bytearray(sound)
        damaged[start + at] ^= 0xFF
        path.write_bytes(damaged)
        found = load(path, bad_limit=1.0)
        # The header of LZMA has bytes that decide nothing.
        assert {"0.png", "2.png"} <= set(found.names)
        lost += len(found.report.set_aside)
        assert all("damaged in the archive" in item.reason for item in found.report.set_aside)
    assert lost >= 3


def test_a_method_that_is_not_known_is_one_member(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {f"{i}.png": image(i) for i in range(3)})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 97)
    path.write_bytes(data)
    found = load(path, bad_limit=1.0)
    assert found.names == ("1.png", "2.png") and len(found.report.set_aside) == 1


def test_encrypted_members_are_set_aside_and_say_what_to_do(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {f"{i}.png": image(i) for i in range(3)} | {"a.txt": b""})
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 4):
        if data[at : at + 4] == b"PK\x01\x02":
            data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(
        DataError, match=r"none of 3 images .*encrypted: unzip it with its password"
    ):
        load(path)


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    """As .NET and old Windows tools write them: classes, look-ups and reading agree."""
    members = {f"photos\\{c}\\{i}.png": image(i) for i, c in enumerate("aab")}
    found = load(packed(tmp_path / "a.zip", {"photos\\a\\": b"", **members}))
    assert found.names == ("photos/a/0.png", "photos/a/1.png", "photos/b/2.png")
    assert found.labels is not None and found.labels.tolist() == [0, 0, 1]
    listed = {"x\\1.png": image(1), "metadata.csv": b"file_name,label\nx/1.png,ant\n"}
    assert load(packed(tmp_path / "b.zip", listed)).class_names == ("ant",)


def test_dots_and_double_separators_in_names(tmp_path: Path) -> None:
    members = {"./a//1.png": image(1), "a/./2.png": image(2), "a/1.png": image(3)}
    found = arranged(packed(tmp_path / "a.zip", members))
    assert [entry.name for entry in found.entries] == ["a/1.png", "a/2.png"]
    assert [item.reason for item in found.set_aside] == ["second member of this name"]
    assert found.set_aside[0].name == "a/1.png (again)"


def test_utf_8_names_without_the_flag(tmp_path: Path) -> None:
    """Archives of macOS hold UTF-8 and do not say so; zipfile would read it as CP437."""
    path = packed(tmp_path / "a.zip", {"caf??/1.png": image(1), "tee/2.png": image(2)})
    path.write_bytes(path.read_bytes().replace(b"caf??", "café".encode()))
    assert {entry.label for entry in arranged(path).entries} == {"café", "tee"}


@pytest.mark.parametrize("name", ["/", "C:/1.txt", "../1.txt", "x" * 300 + ".txt"])
def test_refused_names_that_are_no_images_are_no_images_lost(tmp_path: Path, name: str) -> None:
    found = arranged(packed(tmp_path / "a.zip", {name: b"x", "1.png": image(1)}))
    assert not found.set_aside and len(found.entries) == 1


@pytest.mark.parametrize("damage", ["cut", "no directory", "wild offset", "not one"])
def test_an_archive_that_cannot_be_read_is_an_error(tmp_path: Path, damage: str) -> None:
    path = packed(tmp_path / "a.zip", {"1.png": image(1)})
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    if damage == "cut":
        data = data[:-10]
    elif damage == "no directory":
        data[end - 20 : end] = bytes(20)
    elif damage == "wild offset":
        data[end + 16 : end + 20] = b"\xff\xff\xff\x7f"
    else:
        data = bytearray(b"PK\x03\x04" + bytes(50))
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip"):
        load(path)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_archives_load_or_are_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    members = {f"{c}/{i}.png": image(i) for i, c in enumerate("ab")}
    members["metadata.csv"] = b"file_name,label\na/0.png,x\nb/1.png,y\n"
    sound = packed(tmp_path / "sound.zip", members, METHODS[seed]).read_bytes()
    path = tmp_path / "a.zip"
    directory = sound.index(b"PK\x01\x02")
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(rng.integers(1, 4)):
            # Half of the changes hit the directory, where names, sizes and flags are.
            at = rng.integers(directory if rng.random() < 0.5 else 0, len(data))
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            found = arranged(path)
        except DataError as error:
            assert "\n" not in str(error)
            continue
        for entry in found.entries:
            try:
                entry.read()
            except ValueError as error:
                assert "\n" not in str(error)


def test_a_member_that_unpacks_to_far_more_than_it_holds_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "SMALL_IMAGE", 2**20)
    members = {"bomb.png": bytes(3 * 2**20), "plain.png": image(1), "white.bmp": bytes(2**20)}
    found = arranged(packed(tmp_path / "a.zip", members))
    assert [entry.name for entry in found.entries] == ["plain.png", "white.bmp"]
    assert found.set_aside[0].reason == "unpacks to 3 MiB, a decompression bomb"


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "SMALL_ARCHIVE", 2**20)
    small = packed(tmp_path / "a.zip", {f"{i}.png": bytes(2**18) for i in range(3)})
    assert len(arranged(small).entries) == 3
    many = packed(tmp_path / "b.zip", {f"{i}.png": bytes(2**18) for i in range(200)})
    with pytest.raises(DataError, match=r"200 members of .*taken for a decompression bomb"):
        load(many)


def test_metadata_that_unpacks_to_far_more_than_it_holds_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "SMALL_TEXT", 2**16)
    lines = b"file_name\n" + b"\n" * 2**20 + b"1.png\n"
    path = packed(tmp_path / "a.zip", {"1.png": image(1), "metadata.csv": lines, "x.txt": lines})
    with pytest.raises(DataError, match=r"metadata\.csv cannot be read: unpacks to 1 MiB"):
        arranged(path)


def test_metadata_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undrift.data.sources.layout.LARGEST_METADATA", 10)
    path = packed(tmp_path / "a.zip", {"1.png": image(1), "metadata.csv": b"file_name\n1.png\n"})
    with pytest.raises(DataError, match=r"metadata\.csv cannot be read: larger than"):
        load(path)


def test_lzma_of_a_huge_dictionary_is_one_member(tmp_path: Path) -> None:
    """The header of LZMA may ask for 4 GiB before a single byte is read."""
    path = packed(tmp_path / "a.zip", {f"{i}.png": image(i) for i in range(3)}, zipfile.ZIP_LZMA)
    data = bytearray(path.read_bytes())
    at = data.index(b"0.png") + 5 + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert {"1.png", "2.png"} <= set(load(path, bad_limit=1.0).names)


def test_negative_control_the_damage_is_what_the_modules_complain_about() -> None:
    """bz2 raises OSError, lzma its own error: neither is what zipfile documents."""
    with pytest.raises(OSError):
        bz2.decompress(b"BZh9" + bytes(30))
    with pytest.raises(lzma.LZMAError):
        lzma.open(io.BytesIO(bytes(30)), format=lzma.FORMAT_XZ).read()
