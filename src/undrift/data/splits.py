"""Which images are trained on, tuned on and reported on.

Held-out images are chosen by the hash of their pixels: no random stream, the same on every machine,
and equal images always fall into the same split, so that a duplicate cannot leak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = ("train", "validation", "test")
Splits = dict[str, NDArray[np.int64]]


def split_by_content(
    hashes: NDArray[np.uint64], given: Sequence[str | None], holdout: float
) -> Splits:
    """Split N images.

    Args:
        hashes: uint64 (N,), one per image, equal for equal pixels.
        given: N of "train", "validation" or "test" as the source has it; None means train.
        holdout: share of the training images to hold out, in [0, 1): all as validation where the
            source has a test split, all as test where it has only a validation split, half for each
            where it has neither, none where it has both.

    Returns:
        Sorted int64 rows for "train", "validation" and "test", disjoint, N together. At least one
        image goes to each requested split, as long as half of them stay for training.
    """
    part = np.array([name or "train" for name in given])
    splits = {name: np.flatnonzero(part == name).astype(np.int64) for name in NAMES}
    wanted = [name for name in ("validation", "test") if not len(splits[name])]
    train = splits["train"]
    if not holdout or not wanted or not len(train):
        return splits
    count = max(math.floor(holdout * len(train) + 0.5), len(wanted))
    count = min(count, len(train) // 2)
    groups, group = np.unique(hashes[train], return_inverse=True)
    sizes = np.bincount(group, minlength=len(groups))
    # Groups in order of their hash until enough images are out; a group goes whole.
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    chosen = np.full(len(groups), "train", dtype="U10")
    for i, name in enumerate(wanted):
        start, stop = i * count / len(wanted), (i + 1) * count / len(wanted)
        chosen[(before >= start) & (before < stop)] = name
    # However many copies of few images there are, something is left to train on.
    chosen[-1:] = "train"
    for name in ("train", *wanted):
        splits[name] = train[chosen[group] == name]
    return splits


def straddling(hashes: NDArray[np.uint64], splits: Splits) -> int:
    """Count the images outside the training split whose equal is inside it."""
    held = np.concatenate([splits["validation"], splits["test"]])
    return int(np.isin(hashes[held], hashes[splits["train"]]).sum())
