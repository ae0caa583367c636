"""What ``undrift inspect`` prints, draws and writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data import zoo

from undrift.data import load
from undrift.data.inspection import contact_sheet, histogram, inspect_text, write_inspection
from undrift.errors import UsageError


def test_text_names_what_there_is() -> None:
    text = inspect_text(load("digits"))
    for line in ("1,797 of 8x8, grey", "17 levels", "  3     183 #####", "coarsely quantised"):
        assert line in text
    assert text.isascii() and "\x1b" not in text


def test_every_set_aside_file_is_named(tmp_path: Path) -> None:
    animals = zoo.build_zoo(tmp_path / "zoo")
    found = load(tmp_path / "zoo", bad_limit=1.0)
    lines = inspect_text(found).splitlines()
    for name in animals.bad:
        assert any(line.startswith(f"  {name}: ") for line in lines)
    assert any("ignored" in line and "2: .txt 1, hidden 1" in line for line in lines)


def test_sheet_shows_each_class_in_its_row() -> None:
    digits = load("digits")
    sheet = np.asarray(contact_sheet(digits))
    # 10 rows of 8x8 digits, nine times enlarged, 4 pixels between them.
    assert sheet.shape[0] == 4 + 10 * 76
    assert digits.labels is not None
    for label in range(10):
        members = digits.images[digits.labels == label]
        left = sheet.shape[1] - 12 * 76
        first = sheet[4 + label * 76 : 76 + label * 76 : 9, left : left + 72 : 9, 0]
        assert np.array_equal(first, members[0, ..., 0])


def test_sheet_of_transparent_images_without_classes(tmp_path: Path) -> None:
    images = np.zeros((30, 16, 16, 4), np.uint8)
    images[:, 4:12, 4:12] = (255, 0, 0, 255)
    np.save(tmp_path / "a.npy", images)
    sheet = contact_sheet(load(tmp_path / "a.npy"))
    colours = {colour for _, colour in sheet.getcolors() or []}
    assert {(255, 0, 0), (255, 255, 255), (225, 225, 225)} == colours


def test_histogram_draws_every_channel(tmp_path: Path) -> None:
    drawn = np.asarray(histogram(load("digits")))
    assert drawn.shape[2] == 3 and drawn.std() > 10
    assert drawn.shape[1] > drawn.shape[0]


def test_files_are_written_and_never_overwritten(tmp_path: Path) -> None:
    digits = load("digits")
    paths = write_inspection(digits, tmp_path / "out")
    assert sorted(path.name for path in paths) == [
        *("contact_sheet.png", "data.json", "histogram.png", "inspection.txt")
    ]
    assert json.loads(paths[0].read_text())["value_levels"] == 17
    with Image.open(paths[2]) as sheet:
        assert sheet.width > 500
    with pytest.raises(UsageError, match="already there"):
        write_inspection(digits, tmp_path / "out")
    with pytest.raises(UsageError, match="cannot be written"):
        write_inspection(digits, paths[0] / "below")


NAMES = (
    "$5_{$9",
    "[red]",
    "\x1b[31m",
    "\u732b",
    "a\nb",
    "\u202egnp",
    r"\$ \frac{",
    "\udce9",
    "^_$x$",
)


def test_classes_may_have_any_name(tmp_path: Path) -> None:
    """Formulas, markup, escapes, line breaks and scripts that a font lacks: warnings are errors."""
    images = np.random.default_rng(0).integers(0, 256, (2 * len(NAMES), 8, 8, 1), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.repeat(np.arange(len(NAMES)), 2))
    found = load(tmp_path / "a.npz")
    counts = dict.fromkeys(NAMES, 2)
    found = replace(found, class_names=NAMES, report=replace(found.report, classes=counts))
    paths = write_inspection(found, tmp_path / "out")
    for path in paths[2:]:
        with Image.open(path) as picture:
            picture.load()
    text = paths[1].read_text(encoding="utf-8")
    assert text.isprintable() or set(text) - {"\n"} <= set(filter(str.isprintable, text))
    for name in ("$5_{$9", "[red]", r"\x1b[31m", "\u732b", r"a\nb", r"\u202egnp", r"\xe9"):
        assert f"  {name} " in text
