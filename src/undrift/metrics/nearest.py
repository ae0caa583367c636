"""Nearest training image, and the share of samples that are copies.

Distance is the root mean square difference in levels (0-255) over all values of two images, both
shrunk by area averaging until the longer side is at most 32 pixels: 0 is an exact copy, and a shift
of a pixel or a change of compression stays small.

How near is too near depends on the data: held-out images also have near neighbours in the training
set. So a sample counts as a copy if it is strictly nearer to a training image than 1 % of held-out
real images are. A model that only ever makes new images scores about 1 %, one that replays its
training set scores 100 %.

Reference: the calibration follows the idea of Meehan et al., "A non-parametric test to detect
data-copying in generative models" (2020): compare distances of samples with those of held-out data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.classification import Share
from undrift.metrics.resizing import shrink

LONGEST_SIDE = 32


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each of n images.

    Attributes:
        indices: (n,) int64 rows of the training images.
        distances: (n,) float64 root mean square differences, in levels of 0-255.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class Copies:
    """Which samples are nearer to the training set than real images come.

    Attributes:
        share: of samples under the threshold.
        held_out: of held-out images under the same threshold, the floor.
        threshold: distance, in levels, below which a sample counts as a copy.
    """

    share: Share
    held_out: Share
    threshold: float


def nearest_training(
    images: NDArray[np.uint8], training: NDArray[np.uint8], chunk: int = 8192
) -> Neighbours:
    """Find the nearest of ``training`` (m, H, W, C) for each of ``images`` (n, H, W, C), uint8.

    Args:
        images: what to look up.
        training: where to look; read in blocks, so a memory-mapped array is fine.
        chunk: training images compared at once.

    Raises:
        UsageError: image sizes that differ, or no images.
    """
    if images.shape[1:] != training.shape[1:] or images.ndim != 4:
        raise UsageError(
            f"images {images.shape[1:]} and training images {training.shape[1:]} differ in size: "
            "give both as (n, H, W, C)"
        )
    if len(training) == 0 or len(images) == 0:
        raise UsageError("nearest neighbours need at least one image on either side")
    queries = _flat(images)
    best = torch.full((len(queries),), torch.inf)
    indices = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(training), chunk):
        block = _flat(training[start : start + chunk])
        # |q - b|^2 without |q|^2, which does not change the order: one matrix product finds the row
        partial = torch.addmm((block * block).sum(dim=1)[None], queries, block.T, alpha=-2.0)
        value, row = partial.min(dim=1)
        nearer = value < best
        best = torch.where(nearer, value, best)
        indices = torch.where(nearer, row + start, indices)
    # the distance itself is computed again from differences: exact zero for an exact copy
    found = indices.numpy()
    distances = np.empty(len(queries))
    for start in range(0, len(queries), chunk):
        rows = slice(start, start + chunk)
        matched = _flat(training[np.asarray(found[rows])])
        distances[rows] = (queries[rows] - matched).double().square().mean(dim=1).sqrt().numpy()
    return Neighbours(found, distances)


def copies(samples: Neighbours, held_out: Neighbours, quantile: float = 0.01) -> Copies:
    """Share of ``samples`` strictly nearer to training images than ``quantile`` of ``held_out``."""
    threshold = float(np.quantile(held_out.distances, quantile))
    return Copies(
        share=_below(samples.distances, threshold),
        held_out=_below(held_out.distances, threshold),
        threshold=threshold,
    )


def _below(distances: NDArray[np.float64], threshold: float) -> Share:
    return Share(int((distances < threshold).sum()), len(distances))


def _flat(images: NDArray[np.uint8]) -> torch.Tensor:
    """Shrunk images as float32 rows (n, values), centred so that the products stay small."""
    return (shrink(images, LONGEST_SIDE).float() - 128.0).flatten(1)
