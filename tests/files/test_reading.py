"""Whatever lies at a path, and whatever it holds, is content or one error of the caller's class."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from undrift.errors import DataError, ModelFileError
from undrift.files import reading

ADVICE = "do this"


def parsed(text: bytes | str) -> object:
    return reading.parse_json(text, "x.json", DataError, ADVICE)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "socket": bind,
}


@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR)
def test_only_regular_files_are_opened(
    tmp_path: Path, make: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    path = Path("x")
    make(path)
    with pytest.raises(DataError, match=r"x cannot be read \(not a regular file\); do this"):
        reading.read_bytes(path, DataError, ADVICE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "is missing; do this"),
        (".", "Is a directory"),
        ("a" * 300, "File name too long"),
        ("a\0b", "no file can have that name"),
        ("file/below", "Not a directory"),
        ("loop", "symbolic links"),
    ],
)
def test_paths_that_are_no_files(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ModelFileError, match=message):
        reading.read_bytes(tmp_path / name, ModelFileError, ADVICE)


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1234")
    assert reading.read_bytes(path, DataError, ADVICE, limit=4) == b"1234"
    with pytest.raises(DataError, match="4 bytes, more than the 3"):
        reading.read_bytes(path, DataError, ADVICE, limit=3)
    os.truncate(path, 2**42)  # 4 TiB that take no room on the disk
    with pytest.raises(DataError, match="more than the"):
        reading.read_json(path, DataError, ADVICE)
    with pytest.raises(DataError, match="more than memory"):
        reading.read_bytes(path, DataError, ADVICE)


def test_a_file_without_a_size_of_its_own_is_bounded_too() -> None:
    with pytest.raises(DataError, match="more than the 10 bytes"):
        reading.read_bytes("/proc/self/status", DataError, ADVICE, limit=10)


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, "\\u00e9", null, true]}', "[]", "3", '""'])
def test_json_is_read_as_python_reads_it(text: str) -> None:
    assert parsed(text) == json.loads(text)
    assert parsed(b"\xef\xbb\xbf" + text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        (b"\xff", "invalid start byte"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 900 + "]" * 900, "nested too deeply"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
        ("9" * 5000, "a number of 5,000 digits"),
        ("[-" + "9" * 400 + "]", "a number of 401 digits"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1e999", "too large"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' appears twice"),
        ('{"a": 1} x', "Extra data"),
        ("\0", "Expecting value"),
    ],
)
def test_json_that_nothing_should_go_on_with(text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parsed(text)
    assert str(caught.value).startswith("x.json is not JSON (")
    assert message in str(caught.value)
    assert str(caught.value).endswith("; do this")
    assert len(str(caught.value)) < 400


def test_brackets_in_text_are_no_nesting() -> None:
    text = json.dumps(["[{" * 500, '\\"[' * 300, *[[]] * 500])
    assert parsed(text) == json.loads(text)


def test_a_mapping_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}')
    assert reading.read_mapping(path, DataError, ADVICE) == {"a": 1}
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"holds \[1\], wanted a mapping; do this"):
        reading.read_mapping(path, DataError, ADVICE)


@pytest.mark.parametrize(
    ("name", "message"),
    [("~nobody-of-that-name/x", "home"), ("a\0b", "no file"), ("a" * 300, "too long")],
)
def test_names_that_no_path_can_have(name: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        reading.expanded(name, ModelFileError)


def test_a_home_folder_is_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert reading.expanded("~/x", DataError) == tmp_path / "x"
