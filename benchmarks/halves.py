"""The two halves of every quality benchmark: what is trained on, and what is held out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

import undrift.data

DATASETS = ("digits", "fashion")
"""Those with recipes of the peers."""

CIFAR10 = Path("cifar10") / "cifar10_lossless_first4000.npz"
"""Within the folder with the data sets: the first 4,000 training images of CIFAR-10."""


@dataclass(frozen=True)
class Half:
    """Images (N, H, W, C) uint8 and labels (N,) int64, as ``undrift.metrics`` wants them."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def write(self, path: Path) -> Path:
        """Write an npz that both undrift and the peers read."""
        np.savez(path, images=self.images, labels=self.labels)
        return path


def halves(dataset: str, data: str | None = None) -> tuple[Half, Half]:
    """(training, held out) of a data set.

    Digits: stratified halves of scikit-learn's 1,797 images, seed 0. Fashion-MNIST: its own 60,000
    training and 10,000 test images, from the folder ``fashion_mnist`` of ``data``. CIFAR-10: the
    first 1,000 of its training images and the next 3,000, from the folder ``cifar10``.

    Args:
        dataset: ``digits``, ``fashion`` or ``cifar10``.
        data: folder with the data sets; default ``$UNDRIFT_DATA``, else ``../shared/data``.
    """
    if dataset == "digits":
        digits = undrift.data.load("digits")
        labels = np.asarray(digits.labels)
        ours, theirs = train_test_split(
            np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=0
        )
        images = np.asarray(digits.images)
        return Half(images[ours], labels[ours]), Half(images[theirs], labels[theirs])
    if dataset == "cifar10":
        photographs = undrift.data.load(data_folder(data) / CIFAR10, holdout=0)
        images, labels = np.asarray(photographs.images), np.asarray(photographs.labels)
        return Half(images[:1000], labels[:1000]), Half(images[1000:], labels[1000:])
    whole = undrift.data.load(data_folder(data) / "fashion_mnist", holdout=0)
    parts = []
    for name in ("train", "test"):
        part = whole.split(name)
        parts.append(Half(np.asarray(part.images), np.asarray(part.labels)))
    return parts[0], parts[1]


def data_folder(given: str | None = None) -> Path:
    """Where the real data sets are.

    Raises:
        SystemExit: if the folder does not exist.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("UNDRIFT_DATA") or beside)
    if not folder.is_dir():
        raise SystemExit(f"no data in {folder}: name the folder with --data or UNDRIFT_DATA")
    return folder
