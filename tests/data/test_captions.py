"""Captions are counted, told from classes, and part of the data's fingerprint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data import zoo

from undrift.data import load
from undrift.data.captions import count_captions
from undrift.data.inspection import inspect_text


def folder(root: Path, texts: list[object]) -> Path:
    root.mkdir()
    rows = []
    for i, text in enumerate(texts):
        (root / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, seed=i), 8, 0))
        rows.append(json.dumps({"file_name": f"{i}.png", "text": text}))
    (root / "metadata.jsonl").write_text("\n".join(rows))
    return root


def test_captions_words_and_combinations_are_counted() -> None:
    found = count_captions(
        [("A red apple.", "red apple"), (), ("a green apple",), ("a green apple",)]
    )
    assert found is not None
    assert (found.images, found.missing, found.captions, found.distinct) == (3, 1, 4, 3)
    assert found.words == len({"a", "red", "green", "apple"})
    assert found.pairs == len({"a red", "a apple", "red apple", "a green", "apple green"})
    assert count_captions(None) is None


@pytest.mark.parametrize(("distinct", "classes"), [(3, True), (4, False)])
def test_few_distinct_captions_are_said_to_be_classes(
    tmp_path: Path, distinct: int, classes: bool
) -> None:
    found = load(folder(tmp_path / "data", [f"kind {i % distinct}" for i in range(30)]))
    text = inspect_text(found)
    assert f"captions     {distinct} distinct captions of 30 images, of" in text
    assert ("these are classes" in text) == classes


def test_missing_captions_are_counted(tmp_path: Path) -> None:
    report = load(folder(tmp_path / "data", ["one", None, "", "four"])).report
    assert report.captioned == 2 and report.captions is not None and report.captions.missing == 2
    assert any(line.startswith("2 images with captions, 2 without") for line in report.notes)


def test_fingerprints_of_single_captions_are_those_of_earlier_versions(tmp_path: Path) -> None:
    single = load(folder(tmp_path / "a", ["one", "two", None]), holdout=0)
    assert single.fingerprint == "14790825c2d895e67a98fc61a11147b7"
    several = load(folder(tmp_path / "b", [["one", "1"], "two", None]), holdout=0)
    other = load(folder(tmp_path / "c", [["one", "i"], "two", None]), holdout=0)
    assert len({data.fingerprint for data in (single, several, other)}) == 3


def test_a_split_keeps_its_own_captions(tmp_path: Path) -> None:
    found = load(folder(tmp_path / "data", [f"number {i}" for i in range(20)]), holdout=0.3)
    part = found.split("test")
    assert part.captions is not None and len(part) == 3
    assert part.captions == tuple((f"number {name[:-4]}",) for name in part.names)
