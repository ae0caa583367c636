"""Data of a study: images with classes, and what is made of them: stacked digits, a long tail.

Of K classes, the k-th keeps the share ``RARITY^(k / (K - 1))`` of its training images, so that the
last has a fiftieth of what it had. A class is rare if its share is below half of an even one.

Reference for the long tail: Cao et al., "Learning imbalanced datasets with label-distribution-aware
margin loss" (2019), section 4.1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.advice import named
from undrift.claims.study import Study
from undrift.data import ImageSet
from undrift.data.stacking import check_digits, write_stacked
from undrift.errors import UsageError
from undrift.files.arrays import npz_bytes
from undrift.files.durable import write_output
from undrift.options.train import TrainOptions
from undrift.randomness import generator
from undrift.runs.images import load_images

RARITY = 1 / 50
"""Share of its images that the last class keeps."""


def load_classes(source: str) -> ImageSet:
    """Images with classes.

    Raises:
        DataError: data that cannot be read.
        UsageError: data without classes.
    """
    data = load_images(source, TrainOptions())
    if data.labels is None or len(data.class_names) < 2:
        raise UsageError(
            f"{named('data')} {source}: wanted images of two classes or more; claims about "
            "classes are made"
        )
    return data


def load_digits(study: Study) -> ImageSet | None:
    """The digits to stack; None where the study stacks none, or they are stacked already.

    Raises:
        DataError: data that cannot be read.
        UsageError: no grayscale digits.
    """
    if study.mnist is None or study.size.stacked is None or stacked_path(study).exists():
        return None
    digits = load_images(study.mnist, TrainOptions(holdout=0.0)).split("train")
    check_digits(digits)
    return digits


def stacked_path(study: Study) -> Path:
    """File of the stacked digits."""
    return study.folder / "data" / "stacked.npz"


def tail_path(study: Study) -> Path:
    """File of the long-tailed data."""
    return study.folder / "data" / "tail.npz"


def make_datasets(study: Study, data: ImageSet, digits: ImageSet | None) -> None:
    """Write the data that the study makes, unless it is there.

    Raises:
        UsageError: it cannot be written.
    """
    if digits is not None:
        path = stacked_path(study)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stacked(path, digits, study.size.stacked_images, study.seed)
    make_tail(tail_path(study), data, study.seed)


def make_tail(path: Path, data: ImageSet, seed: int) -> None:
    """Write training images of ``data``, fewer and fewer by class, unless they are there.

    Raises:
        UsageError: they cannot be written.
    """
    if path.exists():
        return
    train = data.split("train")
    rows = tail_rows(np.asarray(train.labels), len(data.class_names), seed)
    arrays = {
        "images": train.take(rows),
        "labels": np.asarray(train.labels)[rows],
        "class_names": np.asarray(data.class_names),
    }
    write_output(path, npz_bytes(arrays, compressed=True), durable=False, owned=True)


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
