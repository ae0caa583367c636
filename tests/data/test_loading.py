"""Arguments of ``load``, channels, sizes, errors, names and the report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data import zoo

from undrift.data import load
from undrift.errors import DataError, UsageError


def folder(path: Path, *images: np.ndarray) -> Path:
    path.mkdir()
    for i, pixels in enumerate(images):
        kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[-1]]
        (path / f"{i:03d}.png").write_bytes(zoo.png(pixels, 8, kind))
    return path


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("size", 0),
        ("size", (8, -1)),
        ("size", 10_000),
        ("fit", "stretch"),
        ("channels", 2),
        ("background", "blurple"),
        ("background", (0, 0, 256)),
        ("holdout", 1.0),
        ("holdout", -0.1),
        ("holdout", float("nan")),
        ("bad_limit", 1.5),
        ("bad_limit", float("nan")),
    ],
)
def test_values_that_cannot_be_used(argument: str, value: Any) -> None:
    with pytest.raises(UsageError, match=argument):
        load("digits", **{argument: value})


def test_keeping_and_removing_alpha_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="one of them"):
        load("digits", channels=4, background="white")


def test_missing_data_names_itself_and_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"'photso'.*did you mean 'photos'"):
        load("photso")
    with pytest.raises(DataError, match=r"did you mean '.*photos'"):
        load(tmp_path / "fotos")
    with pytest.raises(DataError, match="did you mean 'digits'"):
        load("digit")
    with pytest.raises(DataError, match="'qqq'.*give a folder"):
        load("qqq")
    assert DataError.exit_code == 3


@pytest.mark.parametrize("address", ["https://x.org/a.zip", "file:///etc", "pipe:cat a", "s3://b"])
def test_addresses_are_not_paths(address: str) -> None:
    with pytest.raises(DataError, match="is an address"):
        load(address)


def test_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in .*empty"):
        load(tmp_path / "empty")
    (tmp_path / "a.tar").write_bytes(b"x" * 2000)
    with pytest.raises(DataError, match=r"a\.tar is no data"):
        load(tmp_path / "a.tar")
    one = folder(tmp_path / "one", zoo.picture(1, 0)) / "000.png"
    with pytest.raises(DataError, match="single image"):
        load(one)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DataError, match="not a regular file"):
        load(tmp_path / "fifo")
    (tmp_path / "holder").mkdir()
    np.save(tmp_path / "holder" / "a.npy", np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match=r"a\.npy: give that file"):
        load(tmp_path / "holder")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        load(tmp_path / "broken", bad_limit=1.0)


def test_grey_stored_as_colour_takes_one_channel(tmp_path: Path) -> None:
    grey = zoo.picture(1, 0)
    found = load(folder(tmp_path / "a", grey.repeat(3, -1), zoo.picture(1, 1)))
    assert found.shape == (32, 32, 1) and np.array_equal(found.images[0], grey)
    mixed = load(folder(tmp_path / "b", zoo.picture(3, 0), grey))
    assert mixed.shape == (32, 32, 3) and np.array_equal(mixed.images[1], grey.repeat(3, -1))


def test_alpha_counts_only_where_it_says_something(tmp_path: Path) -> None:
    opaque = zoo.picture(4, 0)
    opaque[..., 3] = 255
    assert load(folder(tmp_path / "a", opaque, opaque[::-1])).shape[2] == 3
    clear = zoo.picture(4, 1)
    kept = load(folder(tmp_path / "b", clear, clear[::-1], opaque))
    assert kept.shape[2] == 4 and np.array_equal(kept.images[0], clear)
    assert load(tmp_path / "b", background="black").shape[2] == 3
    grey_alpha = load(folder(tmp_path / "c", zoo.picture(2, 2)))
    assert grey_alpha.shape[2] == 4


def test_channels_can_be_forced(tmp_path: Path) -> None:
    path = folder(tmp_path / "a", zoo.picture(1, 0))
    grey = load(path).images
    assert np.array_equal(load(path, channels=3).images, grey.repeat(3, -1))
    four = load(path, channels=4).images
    assert np.array_equal(four[..., :3], grey.repeat(3, -1)) and (four[..., 3] == 255).all()


def test_sizes(tmp_path: Path) -> None:
    uniform = folder(tmp_path / "a", *(zoo.picture(1, i)[:, :20] for i in range(10)))
    assert load(uniform).shape == (32, 20, 1)
    mixed = folder(tmp_path / "b", *(zoo.picture(1, i)[: 20 + i, :20] for i in range(10)))
    found = load(mixed)
    assert found.shape == (16, 16, 1)
    assert any("16x16, a size chosen" in line for line in found.report.notes)
    assert load(mixed, size=(24, 8)).shape == (24, 8, 1)
    enlarged = load(mixed, size=64)
    assert enlarged.report.enlarged == 10
    assert any("enlarged to 64x64" in line for line in enlarged.report.warnings)
    assert load("digits", size=12).shape == (12, 12, 1)


def test_the_report_counts_what_is_there(tmp_path: Path) -> None:
    flat = np.full((8, 8, 1), 3, np.uint8)
    found = load(folder(tmp_path / "a", flat, flat, zoo.picture(1, 1)[:8, :8])).report
    assert found.constant == 2
    assert found.duplicates.extra == 1 and found.duplicates.examples == (("000.png", "001.png"),)
    assert any("images to train on: below 200" in line for line in found.warnings)
    pixels = load(tmp_path / "a").images
    assert found.mean == pytest.approx([pixels.mean()])
    assert found.std == pytest.approx([pixels.std()])
    assert found.value_levels == len(np.unique(pixels))
    assert np.array(found.histogram).sum() == pixels.size


def test_dark_images_are_pointed_out(tmp_path: Path) -> None:
    # 12-bit values in a 16-bit file: sixteen times too dark, and nothing in the file says so.
    tmp_path.joinpath("a").mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (16, 16, 1)).astype(">u2")
    (tmp_path / "a" / "x.png").write_bytes(zoo.png(values, 16, 0))
    assert any("no value above 16" in line for line in load(tmp_path / "a").report.warnings)


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = folder(tmp_path / "a", *(zoo.picture(1, 300 + i) for i in range(70)))
    load(path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(64, 70), (70, 70)]


def test_inspecting_needs_no_torch() -> None:
    code = "import sys, undrift.data.inspection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_splits_views(tmp_path: Path) -> None:
    found = load("digits")
    train, test = found.split("train"), found.split("test")
    assert len(train) + len(test) + len(found.split("validation")) == 1797
    assert np.array_equal(train.images, found.images[found.splits["train"]])
    assert train.labels is not None and found.labels is not None
    assert np.array_equal(train.labels, found.labels[found.splits["train"]])
    assert sum(train.class_counts().values()) == len(train)
    assert len(train.split("train")) == len(train) and len(train.split("test")) == 0
    with pytest.raises(UsageError, match="no split 'tset'"):
        found.split("tset")
    with pytest.raises(ValueError, match="read-only"):
        found.images[0] = 0


def test_fingerprints_name_content(tmp_path: Path) -> None:
    images = [zoo.picture(1, i) for i in range(6)]
    first = load(folder(tmp_path / "a", *images))
    again = load(folder(tmp_path / "b", *images))
    other = load(folder(tmp_path / "c", *images[:5], zoo.picture(1, 77)))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert load(tmp_path / "a", holdout=0).fingerprint != first.fingerprint
    assert load(tmp_path / "a", size=16).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("channels", "background"),
    [
        *(
            (channels, colour)
            for channels in (None, 1, 3)
            for colour in (None, "#ffffff", "#ff0000")
        ),
        (4, None),
    ],
)
@pytest.mark.parametrize("kinds", [(1, 3), (3,), (1, 2, 3, 4), (2, 4)])
def test_bars_of_padding_are_alike_for_all_kinds_of_images(
    tmp_path: Path, channels: int | None, background: str | None, kinds: tuple[int, ...]
) -> None:
    """Grey, colour, with and without alpha: one colour above and below, or transparency."""
    images = [np.full((8, 16, kind), 128, np.uint8) for kind in kinds]
    for image, kind in zip(images, kinds, strict=True):
        if kind in (2, 4):
            image[..., -1] = 255
    found = load(
        folder(tmp_path / "a", *images),
        size=16,
        fit="pad",
        channels=channels,
        background=background,
    )
    (bar,) = np.unique(found.images[:, [0, 3, 12, 15]].reshape(-1, found.shape[2]), axis=0)
    if channels == 4:
        assert bar[3] == 0
    elif background is not None:
        red = int(background[1:3], 16), int(background[3:5], 16)
        grey = round(0.299 * red[0] + 0.701 * red[1])
        assert bar.tolist() == ([grey] if found.shape[2] == 1 else [red[0], red[1], red[1]])
    else:
        # Black as ever, but white where transparency is composited on it.
        assert set(bar.tolist()) == ({0} if max(kinds) == 3 else {255})
    assert (found.images[:, 4:12, :, 0] == 128).all()
    assert found.report.padded == len(kinds)
    shown = {4: "full transparency"}.get(found.shape[2]) or background
    assert shown is None or f"padded with bars of {shown}" in "\n".join(found.report.notes)


def test_bars_do_not_make_images_transparent(tmp_path: Path) -> None:
    opaque = [zoo.picture(3, i)[:16] for i in range(3)]
    clear = zoo.picture(4, 9)[:16]
    found = load(folder(tmp_path / "a", *opaque, clear), size=32, fit="pad")
    assert found.shape == (32, 32, 3) and found.report.transparent == 1
    kept = load(folder(tmp_path / "b", opaque[0], clear, clear[::-1]), size=32, fit="pad")
    assert kept.shape == (32, 32, 4) and (kept.images[:, :8, :, 3] == 0).all()


def test_rows_of_pixels_are_padded_alike(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((3, 8, 16, 3), 128, np.uint8))
    found = load(tmp_path / "a.npy", size=16, fit="pad", background="#ffffff")
    assert (found.images[:, :4] == 255).all() and (found.images[:, 4:12] == 128).all()
    assert (load(tmp_path / "a.npy", size=16, fit="pad").images[:, :4] == 0).all()


def test_more_unusable_images_than_training_takes_are_pointed_out(tmp_path: Path) -> None:
    path = folder(tmp_path / "a", *(zoo.picture(1, i) for i in range(30)))
    (path / "030.png").write_bytes(b"")
    assert not any("cannot be used" in line for line in load(path).report.warnings)
    (path / "031.png").write_bytes(b"")
    assert any(
        line.startswith("6% of the images cannot be used: remove these")
        for line in load(path, bad_limit=1.0).report.warnings
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"size": "a"}, "size 'a': wanted a whole number or a list of 2 entries"),
        ({"size": (8,)}, r"size \(8,\): wanted"),
        ({"size": [8, 8.5]}, r"size \[8, 8.5\]: wanted"),
        ({"size": np.zeros((2, 2))}, r"size of type float64 and shape \(2, 2\): wanted"),
        ({"fit": "stretch"}, "fit 'stretch': wanted one of crop, pad"),
        ({"channels": "1"}, "channels '1': wanted a whole number"),
        ({"background": (1, 2)}, r"background \(1, 2\): wanted text or a list of 3 entries"),
        ({"holdout": "a"}, "holdout 'a': wanted a finite number"),
        ({"bad_limit": float("nan")}, "bad_limit nan: wanted a finite number"),
        ({"progress": 3}, "progress 3: wanted a function"),
        ({"source": 5}, "source 5: wanted a path"),
        ({"source": "a\0b"}, "source 'a.x00b': wanted a path"),
    ],
)
def test_arguments_of_another_type(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        load(**{"source": "digits", **keywords})


@pytest.mark.parametrize("name", ["nowhere", 3, ["train"], None])
def test_a_split_that_there_is_not(name: Any) -> None:
    with pytest.raises(UsageError, match="split|name"):
        load("digits").split(name)


def test_lists_and_arrays_are_sizes_too() -> None:
    for size in ([10, 8], np.array([10, 8]), (np.int64(10), 8)):
        assert load("digits", size=size).shape[:2] == (10, 8)
