"""Whatever differs from what was written is noticed, named, and ends with the advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from undrift.errors import ModelFileError
from undrift.files import manifest

ADVICE = "make it again"
CONTENT = {"a.npy": bytes(range(100)), "b.json": b"{}"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    listing = {name: manifest.facts(data) for name, data in CONTENT.items()}
    (tmp_path / manifest.NAME).write_bytes(manifest.encode(listing, {"step": 3}))
    return tmp_path


def opened(directory: Path) -> manifest.Manifest:
    return manifest.read_manifest(directory, ADVICE, {"step": 3})


def test_what_was_written_is_read(directory: Path) -> None:
    found = opened(directory)
    found.require(["a.npy", "b.json"])
    assert {name: found.read(name) for name in found.listing} == CONTENT
    for name in CONTENT:
        found.check(name)
        assert manifest.facts_of_file(directory / name) == found.listing[name]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda path: path.unlink(), "a.npy is missing"),
        (lambda path: (path.unlink(), path.mkdir()), r"a.npy cannot be read \(Is a directory\)"),
        (lambda path: path.write_bytes(b"short"), "a.npy has 5 bytes, wanted 100"),
        (lambda path: path.write_bytes(bytes(100)), "a.npy does not match its SHA-256"),
    ],
)
def test_damage_is_noticed_in_both_ways_of_reading(directory: Path, change, fault: str) -> None:
    found = opened(directory)
    change(directory / "a.npy")
    for look in (found.read, found.check):
        with pytest.raises(ModelFileError, match=f"{fault}.*; {ADVICE}$"):
            look("a.npy")
    found.check("b.json")


def test_every_flipped_bit_of_a_manifest_is_noticed(directory: Path) -> None:
    whole = (directory / manifest.NAME).read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        (directory / manifest.NAME).write_bytes(data)
        with pytest.raises(ModelFileError, match=f"; {ADVICE}$"):
            found = opened(directory)
            found.require(list(CONTENT))
            for name in CONTENT:
                found.read(name)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"files":{},"schema":1}', "is not a manifest that undrift wrote"),
        ('{"files":{},"schema":2,"step":3}', "has schema 2, this version of undrift reads 1"),
        ('{"files":{},"schema":1,"step":4}', "belongs to step 4, not to step 3"),
        ('{"files":{},"schema":1,"step":3} ', "is not a manifest that undrift wrote"),
        ('{"files":{},"schema":1,"step":NaN}', "is not JSON"),
        ('{"files":{},"schema":1,"step":1e999}', "is not JSON"),
        ('{"files":{"../a":{"bytes":0,"sha256":""}},"schema":1,"step":3}', "is not a manifest"),
        ('{"files":{"a/b":{"bytes":0,"sha256":""}},"schema":1,"step":3}', "is not a manifest"),
        ('{"files":{"..":{"bytes":0,"sha256":""}},"schema":1,"step":3}', "is not a manifest"),
    ],
)
def test_manifests_that_undrift_did_not_write(directory: Path, text: str, fault: str) -> None:
    (directory / manifest.NAME).write_text(text)
    with pytest.raises(ModelFileError, match=fault):
        opened(directory)


def test_other_files_than_wanted(directory: Path) -> None:
    with pytest.raises(ModelFileError, match=r"lists a\.npy, b\.json, wanted a\.npy"):
        opened(directory).require(["a.npy"])


def test_one_encoding() -> None:
    assert manifest.canonical({"b": 1, "a": [1.5]}) == b'{"a":[1.5],"b":1}'
    assert json.loads(manifest.encode({})) == {"schema": 1, "files": {}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        manifest.canonical(float("nan"))
