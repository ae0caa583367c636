"""Held-out images: how many, which, and never a twin of a training image."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.data.splits import NAMES, split_by_content, straddling


def hashes(count: int, distinct: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2**63, distinct).astype(np.uint64)
    return pool[rng.integers(0, distinct, count)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("holdout", [0.02, 0.1, 0.5])
def test_every_image_once_and_no_leak(seed: int, holdout: float) -> None:
    content = hashes(400, 150, seed)
    splits = split_by_content(content, [None] * 400, holdout)
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(400))
    parts = [set(content[splits[name]].tolist()) for name in NAMES]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert straddling(content, splits) == 0
    # A group goes whole, so the share is met to within one group.
    largest = np.unique(content, return_counts=True)[1].max()
    held = 400 - len(splits["train"])
    assert abs(held - 400 * holdout) <= 2 * largest


def test_a_split_by_row_would_leak() -> None:
    # Negative control for the check above.
    content = hashes(400, 150)
    rows = np.arange(400)
    splits = {"train": rows[40:], "validation": rows[:20], "test": rows[20:40]}
    assert straddling(content, splits) > 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"train": 180, "validation": 10, "test": 10}),
        (["test"] * 40, {"train": 144, "validation": 16, "test": 40}),
        (["validation"] * 40, {"train": 144, "validation": 40, "test": 16}),
        (["validation"] * 40 + ["test"] * 40, {"train": 120, "validation": 40, "test": 40}),
    ],
)
def test_what_the_source_held_out_stays(given: list[str], expected: dict[str, int]) -> None:
    content = np.random.default_rng(0).permutation(200).astype(np.uint64)
    whole = [*given, *([None] * (200 - len(given)))]
    splits = split_by_content(content, whole, 0.1)
    assert {name: len(rows) for name, rows in splits.items()} == expected
    if "test" in given:
        assert splits["test"].tolist() == [i for i, name in enumerate(given) if name == "test"]


def test_zero_holds_nothing_out() -> None:
    splits = split_by_content(hashes(50, 50), [None] * 50, 0.0)
    assert [len(splits[name]) for name in NAMES] == [50, 0, 0]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (4, [2, 1, 1])])
def test_tiny_sets_keep_something_to_train_on(count: int, sizes: list[int]) -> None:
    splits = split_by_content(np.arange(count).astype(np.uint64), [None] * count, 0.05)
    assert [len(splits[name]) for name in NAMES] == sizes


def test_a_source_that_is_all_test_stays_so() -> None:
    splits = split_by_content(hashes(9, 9), ["test"] * 9, 0.5)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 0,
        "validation": 0,
        "test": 9,
    }


def test_copies_of_one_image_are_trained_on() -> None:
    splits = split_by_content(np.zeros(9, np.uint64), [None] * 9, 0.1)
    assert [len(splits[name]) for name in NAMES] == [9, 0, 0]


def test_the_choice_is_by_content_and_not_by_place() -> None:
    content = np.random.default_rng(1).integers(0, 2**63, 300).astype(np.uint64)
    order = np.random.default_rng(2).permutation(300)
    first = split_by_content(content, [None] * 300, 0.1)
    second = split_by_content(content[order], [None] * 300, 0.1)
    for name in NAMES:
        assert set(content[first[name]]) == set(content[order][second[name]])
