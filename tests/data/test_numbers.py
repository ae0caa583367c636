"""Numbers of the metadata or of an .npz: read where they are named, refused where one is bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data import zoo

from undrift.data import load
from undrift.data.inspection import inspect_text
from undrift.data.loader import Loader
from undrift.data.order import EpochStream
from undrift.errors import DataError, UsageError

Photos = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """A folder of 8 pictures with a metadata.csv, or a metadata.jsonl of such rows."""

    def make(*rows: str, header: str = "file_name,angle,note,age") -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        for i in range(8):
            (folder / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
        if header.startswith("{"):
            (folder / "metadata.jsonl").write_text("\n".join((header, *rows)))
        else:
            (folder / "metadata.csv").write_text("\n".join((header, *rows)))
        return folder

    return make


def rows(count: int = 8) -> list[str]:
    return [f"{i}.png,{0 - 1.5 * i},note {i},{20 + i}" for i in range(count)]


def test_they_come_in_the_order_that_was_asked_for_and_follow_their_images(photos: Photos) -> None:
    images = load(photos(*rows()), numbers=("age", "angle"), holdout=0.25)
    assert images.numbers is not None and images.number_names == ("age", "angle")
    assert images.numbers.dtype == np.float64
    expected = {f"{i}.png": [20.0 + i, -1.5 * i] for i in range(8)}
    assert dict(zip(images.names, images.numbers.tolist(), strict=True)) == expected
    for split in ("train", "validation", "test"):
        part = images.split(split)
        assert part.numbers is not None
        assert {n: expected[n] for n in part.names} == dict(
            zip(part.names, part.numbers.tolist(), strict=True)
        )


def test_batches_carry_them(photos: Photos) -> None:
    images = load(photos(*rows()), numbers=["angle"])
    stream = EpochStream(8, 0, 4)
    with Loader(images, stream) as loader:
        batch = next(loader)
    assert images.numbers is not None
    wanted = torch.from_numpy(images.numbers[stream.indices(0)])
    assert torch.equal(batch.condition["numbers"], wanted)
    assert batch.condition["numbers"].dtype == torch.float64


def test_without_them_the_fingerprint_is_as_it_was_and_with_them_it_names_them(
    photos: Photos,
) -> None:
    folder = photos(*rows())
    bare = load(folder).fingerprint
    assert bare == "6af2f262f01c99188893ba6a3716f55f"  # as before there were numbers
    age, angle = load(folder, numbers=["age"]), load(folder, numbers=["angle"])
    assert len({bare, age.fingerprint, angle.fingerprint}) == 3
    (folder / "metadata.csv").write_text(
        "\n".join(["file_name,age", *(f"{i}.png,9" for i in range(8))])
    )
    assert load(folder).fingerprint == bare
    assert load(folder, numbers=["age"]).fingerprint != age.fingerprint


def test_jsonl_and_arrays_hold_them_too(photos: Photos, tmp_path: Path) -> None:
    lines = [json.dumps({"file_name": f"{i}.png", "dose": 10**i, "text": "3"}) for i in range(8)]
    images = load(photos(*lines[1:], header=lines[0]), numbers=["dose"])
    assert images.numbers is not None and images.numbers[:, 0].tolist() == [
        10.0**i for i in range(8)
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, angle=np.arange(5), names=np.array(list("abcde")))
    found = load(tmp_path / "a.npz", numbers=["angle"])
    assert found.numbers is not None and found.numbers[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert "arrays not read: names" in " ".join(found.report.notes)
    assert found.report.numeric == {"angle": (0, 4)} and found.report.numbers == ("angle",)
    assert "arrays not read: angle, names" in " ".join(load(tmp_path / "a.npz").report.notes)


def test_inspect_lists_columns_of_numbers_with_their_ranges(photos: Photos) -> None:
    images = load(photos(*rows()))
    assert images.report.numeric == {"angle": (-10.5, 0.0), "age": (20.0, 27.0)}
    assert "numbers      angle from -10.5 to 0, age from 20 to 27; numbers angle" in (
        inspect_text(images)
    )
    assert load(photos_of_two(images.report.source)).report.numeric == {"age": (20.0, 27.0)}


def photos_of_two(folder: str) -> str:
    """The same with a hole in the column ``angle``."""
    table = Path(folder) / "metadata.csv"
    table.write_text(table.read_text().replace("-1.5,", ",", 1))
    return folder


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("3.png,,x,4", r"metadata.csv, line 5: angle is missing: give every image a number"),
        ("3.png,steep,x,4", r"metadata.csv, line 5: angle is 'steep', wanted a finite number"),
        ("3.png,nan,x,4", "line 5: angle is 'nan', wanted a finite number"),
        ("3.png,-inf,x,4", "line 5: angle is '-inf', wanted a finite number"),
        ("3.png,1e200,x,4", "line 5: angle is '1e200', wanted a finite number"),
        ("3.png,1_000,x,4", "line 5: angle is '1_000', wanted a finite number"),
    ],
)
def test_a_missing_or_bad_value_is_refused_by_file_column_and_line(
    photos: Photos, bad: str, words: str
) -> None:
    table = rows()
    table[3] = bad
    folder = photos(*table)
    load(folder)  # nobody needs the column
    with pytest.raises(DataError, match=words):
        load(folder, numbers=["age", "angle"])


def test_json_that_is_no_number_is_refused(photos: Photos) -> None:
    lines = [json.dumps({"file_name": f"{i}.png", "dose": i}) for i in range(8)]
    lines[2] = json.dumps({"file_name": "2.png", "dose": True})
    with pytest.raises(DataError, match="line 3: dose is True, wanted a finite number"):
        load(photos(*lines[1:], header=lines[0]), numbers=["dose"])


def test_columns_that_are_not_there_are_refused(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'angel': it has file_name, angle, note, age"):
        load(photos(*rows()), numbers=["angel"])
    with pytest.raises(
        UsageError, match=r"numbers 'x': digits has no columns, .* arrays of an \.npz"
    ):
        load("digits", numbers=["x"])
    (tmp_path / "photos" / "metadata.csv").unlink()
    with pytest.raises(
        UsageError, match=r"numbers 'angle': .* has no metadata.jsonl or metadata.csv"
    ):
        load(tmp_path / "photos", numbers=["angle"])


def test_images_that_no_table_lists_are_refused_beside_others(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for i in range(4):
            (tmp_path / part / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
    (tmp_path / "train" / "metadata.csv").write_text("file_name,angle\n0.png,3\n1.png,4")
    with pytest.raises(DataError, match=r"gives test/0.png its angle: list every image in one"):
        load(tmp_path, numbers=["angle"])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, 2)), r"x has shape \(5, 2\), not \(5,\)"),
        (np.array(list("abcde")), "x is <U1, wanted numbers"),
        (np.array([True] * 5), "x is bool, wanted numbers"),
        (np.array([0, 1, np.nan, 3, 4]), "x, row 2, is nan, wanted a finite number"),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(
    tmp_path: Path, array: np.ndarray, words: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, x=array)
    with pytest.raises(DataError, match=words):
        load(tmp_path / "a.npz", numbers=["x"])
    for absent in ("y", "images"):
        with pytest.raises(DataError, match=f"no array '{absent}' of numbers"):
            load(tmp_path / "a.npz", numbers=[absent])
