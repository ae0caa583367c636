"""The cache: used, keyed by content, whole or absent, damaged entries made again."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import pytest
from tests.data import zoo

from undrift.data import building, load
from undrift.data.decode import Scales
from undrift.errors import DataError, UsageError
from undrift.files import manifest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    for i in range(8):
        (path / f"{i}.png").write_bytes(zoo.png(zoo.picture(3, i), 8, 2))
    return path


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for every image that is decoded."""
    calls: list[int] = []
    decode = building.decode

    def counting(data: bytes, scales: Scales) -> np.ndarray:
        calls.append(1)
        return decode(data, scales)

    monkeypatch.setattr(building, "decode", counting)
    return calls


def entries(home: Path) -> list[Path]:
    return sorted(path for path in home.iterdir() if path.is_dir())


def test_the_second_time_nothing_is_decoded(home: Path, data: Path, decodings: list[int]) -> None:
    first = load(data)
    assert len(decodings) == 8 and len(entries(home)) == 1
    second = load(data)
    assert len(decodings) == 8
    assert isinstance(second.images, np.memmap) and np.array_equal(first.images, second.images)
    assert first.report == second.report
    assert not [path for path in data.iterdir() if path.suffix != ".png"]


def test_the_key_is_content_and_settings(home: Path, data: Path, decodings: list[int]) -> None:
    load(data)
    for path in data.iterdir():
        os.utime(path, (1, 1))
    data.rename(data.parent / "elsewhere")
    moved = data.parent / "elsewhere"
    load(moved)
    assert len(decodings) == 8
    load(moved, size=16)
    assert len(decodings) == 16
    # The same length and time, other pixels.
    (moved / "3.png").write_bytes(zoo.png(zoo.picture(3, 99), 8, 2))
    os.utime(moved / "3.png", (1, 1))
    assert np.array_equal(load(moved).images[3], zoo.picture(3, 99))
    assert len(decodings) == 24


@pytest.mark.parametrize("name", ["images.npy", "hashes.npy", "facts.json", "MANIFEST.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "empty"])
def test_a_damaged_entry_is_made_again(
    home: Path, data: Path, decodings: list[int], name: str, damage: str
) -> None:
    whole = np.array(load(data).images)
    path = entries(home)[0] / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) * 3 // 4] ^= 1
    path.write_bytes({"truncate": content[:-7], "empty": b""}.get(damage, content))
    if damage == "delete":
        path.unlink()
    assert np.array_equal(load(data).images, whole)
    assert len(decodings) == 16
    load(data)
    assert len(decodings) == 16


@pytest.mark.parametrize("other", ["pipe", "link", "file"])
def test_an_entry_that_is_no_folder_is_made_again(
    home: Path, data: Path, decodings: list[int], other: str
) -> None:
    whole = np.array(load(data).images)
    place = entries(home)[0]
    shutil.rmtree(place)
    if other == "pipe":
        os.mkfifo(place)
        reader = os.open(place, os.O_RDWR | os.O_NONBLOCK)  # so that opening it fails, not waits
    elif other == "link":
        place.symlink_to("nowhere")
    else:
        place.write_text("mine")
    assert np.array_equal(load(data).images, whole)
    assert len(decodings) == 16
    assert place.is_dir() and not place.is_symlink()
    if other == "pipe":
        os.close(reader)


def test_an_unverified_cache_would_serve_damage(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control: without the hashes a flipped bit goes unnoticed.
    whole = np.array(load(data).images)
    place = entries(home)[0]
    monkeypatch.setattr(manifest, "compare", lambda *_: None)
    content = bytearray((place / "images.npy").read_bytes())
    content[-1] ^= 1
    (place / "images.npy").write_bytes(content)
    assert not np.array_equal(load(data).images, whole)


def test_a_build_that_dies_leaves_nothing(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(building, "histogram_of", lambda images: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(data)
    assert entries(home) == []
    # What a killed process leaves is swept by the next one.
    key_folder = home / f".{load(data) and entries(home)[0].name}.left"
    key_folder.mkdir()
    (entries(home)[-1] / "facts.json").unlink()
    load(data)
    assert not key_folder.exists() and len(entries(home)) == 1


def load_in_process(data: Path, report: SimpleQueue) -> None:
    report.put(load(data).fingerprint)


# Python 3.12 and later warn of any fork beside threads, such as those of torch.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_share_one_entry(home: Path, data: Path) -> None:
    context = multiprocessing.get_context("fork")
    report = context.SimpleQueue()
    processes = [context.Process(target=load_in_process, args=(data, report)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert {report.get() for _ in processes} == {load(data).fingerprint}
    assert len(entries(home)) == 1


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="UNDRIFT_CACHE"):
        load(data)


def test_a_full_disk_is_named_and_leaves_nothing(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        load(data)
    assert entries(home) == []


def load_with_little_disk(data: Path, report: SimpleQueue) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        load(data)
    except UsageError as error:
        report.put(str(error))


# Python 3.12 and later warn of any fork beside threads, such as those of torch.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_disk_that_fills_up_while_writing_is_an_error_not_a_crash(home: Path, data: Path) -> None:
    context = multiprocessing.get_context("fork")
    report = context.SimpleQueue()
    process = context.Process(target=load_with_little_disk, args=(data, report))
    process.start()
    process.join()
    assert process.exitcode == 0 and "File too large" in report.get()
    assert entries(home) == [] and len(load(data)) == 8


def test_a_file_that_changes_meanwhile_is_set_aside(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine = building.examine

    def meddling(content: bytes) -> building.Header:
        (data / "5.png").write_bytes(zoo.png(zoo.picture(3, 1234), 8, 2))
        return examine(content)

    monkeypatch.setattr(building, "examine", meddling)
    with pytest.raises(DataError, match=r"5\.png: changed while it was being read"):
        load(data)
