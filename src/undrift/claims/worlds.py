"""Data that a study makes out of what it is given: stacked digits, and classes that get rarer.

Of K classes, the k-th keeps the share ``RARITY^(k / (K - 1))`` of its training images, so that the
last has a fiftieth of what it had. A class is rare if its share is below half of an even one.

Reference for the long tail: Cao et al., "Learning imbalanced datasets with label-distribution-aware
margin loss" (2019), section 4.1.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.files.durable import write_output
from undrift.options.train import TrainOptions
from undrift.randomness import generator
from undrift.runs.images import load_images

STACKED, TAIL = "stacked.npz", "tail.npz"

RARITY = 1 / 50
"""Share of its images that the last class keeps."""


def load_study(source: str) -> ImageSet:
    """The data of a study.

    Raises:
        DataError: data that cannot be read.
        UsageError: data without classes.
    """
    data = load_images(source, TrainOptions())
    if data.labels is None or len(data.class_names) < 2:
        raise UsageError(
            f"--data {source}: wanted images of two classes or more; claims about classes are made"
        )
    return data


def make_tail(path: Path, data: ImageSet, seed: int) -> None:
    """Write training images of ``data``, fewer and fewer by class, unless they are there.

    Raises:
        UsageError: they cannot be written.
    """
    if path.exists():
        return
    train = data.split("train")
    rows = tail_rows(np.asarray(train.labels), len(data.class_names), seed)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=train.take(rows),
        labels=np.asarray(train.labels)[rows],
        class_names=np.asarray(data.class_names),
    )
    write_output(path, buffer.getvalue(), durable=False, owned=True)


def tail_rows(labels: NDArray[np.int64], classes: int, seed: int) -> NDArray[np.int64]:
    """Rows that the long tail keeps of training images with ``labels``, in their order."""
    order = torch.randperm(len(labels), generator=generator(seed, "long tail")).numpy()
    kept = []
    for k in range(classes):
        mine = order[labels[order] == k]
        count = max(1, round(len(mine) * RARITY ** (k / (classes - 1))))
        kept.append(mine[:count])
    return np.sort(np.concatenate(kept))


def rare_classes(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Classes with less than half of an even share of ``labels``."""
    shares = np.bincount(labels, minlength=classes) / len(labels)
    return np.flatnonzero(shares < 1 / (2 * classes))
