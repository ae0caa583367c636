r"""The density that a diffusion model has to beat: every pixel by itself, as often as it occurred.

Of one pixel at one place, of one class,

    P(k) = (n_k + c) / sum_j (n_j + c),    k one of the data's L levels,                         (1)

and an image is as likely as all of its pixels together. c is chosen on images of their own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BATCH = 2000
PSEUDO_COUNTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

Labelled = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Levels (N, D) of images, and their classes (N,)."""


def histogram_bits(
    training: Labelled, validation: Labelled, test: Labelled, classes: int, levels: int
) -> float:
    """Mean bits per dimension of ``test`` under (1), given the class.

    Args:
        training: counted.
        validation: c is chosen by it.
        test: scored.
        classes: K.
        levels: L.
    """
    seen, labels = training
    counts = torch.stack([counted(seen[labels == k], levels) for k in range(classes)])
    table, _ = smoothed(counts, *validation)
    nats = -float(log_likelihood(table, *test).mean())
    return nats / (test[0].shape[1] * math.log(2))


def counted(images: NDArray[np.int64], levels: int) -> Tensor:
    """How often each level occurs at each pixel of images (N, D): (D, L) float64."""
    columns = torch.from_numpy(images).T.contiguous()
    return torch.stack([torch.bincount(column, minlength=levels) for column in columns]).double()


def log_likelihood(
    table: Tensor, images: NDArray[np.int64], labels: NDArray[np.int64] | None = None
) -> Tensor:
    """Log P of each image (N, D) under independent pixels: (N,) float64, in nats.

    Args:
        table: log-probabilities (D, L), or (classes, D, L) beside ``labels``.
        images: levels.
        labels: (N,) class of each image.
    """
    pixel = torch.arange(images.shape[1], dtype=torch.int64, device="cpu")
    parts = []
    for start in range(0, len(images), BATCH):
        rows = torch.from_numpy(images[start : start + BATCH])
        if labels is None:
            parts.append(table[pixel, rows].sum(1))
        else:
            label = torch.from_numpy(labels[start : start + BATCH])[:, None]
            parts.append(table[label, pixel, rows].sum(1))
    return torch.cat(parts)


def smoothed(
    counts: Tensor, validation: NDArray[np.int64], labels: NDArray[np.int64] | None = None
) -> tuple[Tensor, float]:
    """(1) as log-probabilities, with the c that suits the validation images best.

    Args:
        counts: (D, L), or (classes, D, L) beside ``labels``.
        validation: levels (N, D).
        labels: of the validation images.
    """

    def table(pseudo: float) -> Tensor:
        raised = counts + pseudo
        return (raised / raised.sum(-1, keepdim=True)).log()  # (1)

    def score(pseudo: float) -> float:
        return float(log_likelihood(table(pseudo), validation, labels).mean())

    best = max(PSEUDO_COUNTS, key=score)
    return table(best), best
