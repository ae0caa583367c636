"""The nearest training images of an image: how far the first is, and how far one would expect.

Distance is the root mean square difference over all values of two rows. Images are compared in
levels (0-255), both shrunk by area averaging until the longer side is at most 32 pixels: 0 is an
exact copy, and a shift of a pixel or a change of compression stays small. Features are compared as
they are.

How near is near depends on the place: among plain trousers everything is near everything. The
spacing of a place is the mean distance to the 2nd to k-th nearest training images; the distance in
units of it,

    relative = d_1 / mean(d_2, ..., d_k),    0 where d_1 = 0,                                    (1)

is at most 1, falls to 0 for a copy, and hardly depends on which classes a set holds or how smooth
its images are.

Reference: the ratio follows Carlini et al., "Extracting training data from diffusion models"
(2023), section 4.2, where it is called the calibrated distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.features.resizing import shrink

LONGEST_SIDE = 32
_AROUND = 10  # neighbours that make the spacing, the nearest one included
_RECHECKED = 3  # candidates for the nearest whose distance is computed again
_QUERIES = 1024

Rows = slice | NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each of n images.

    Attributes:
        indices: (n,) int64 rows of the training images.
        distances: (n,) float64 root mean square differences, in pixel values for images.
        spacing: (n,) mean distance to the next nine training images (fewer where there are not so
            many), or None where there is one training image only or it was not computed.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    spacing: NDArray[np.float64] | None = None

    @property
    def relative(self) -> NDArray[np.float64]:
        """Equation (1): (n,) in [0, 1].

        Raises:
            UsageError: the spacing is not known.
        """
        if self.spacing is None:
            raise UsageError("nearest neighbours without their spacing: needs 2 training images")
        wide = np.where(self.spacing > 0, self.spacing, 1.0)
        return np.minimum(self.distances / wide, 1.0)


def nearest_training(
    images: NDArray[np.uint8],
    training: NDArray[np.uint8],
    chunk: int = 8192,
    *,
    own_rows: NDArray[np.int64] | None = None,
) -> Neighbours:
    """Find the nearest of ``training`` (m, H, W, C) for each of ``images`` (n, H, W, C), uint8.

    Args:
        images: what to look up.
        training: where to search; read in blocks, so a memory-mapped array is fine.
        chunk: training images compared at once.
        own_rows: (n,) the row of ``training`` that each of ``images`` is; it is left out.

    Raises:
        UsageError: image sizes that differ, or no images.
    """
    if images.shape[1:] != training.shape[1:] or images.ndim != 4:
        raise UsageError(
            f"images {images.shape[1:]} and training images {training.shape[1:]} differ in size: "
            "give both as (n, H, W, C)"
        )
    own = _own(own_rows, images, training)

    def fetch(rows: Rows) -> Tensor:
        return _flat(training[rows])

    return _search(_flat(images), len(training), fetch, chunk, own)


def nearest_features(
    features: NDArray[np.floating],
    training: NDArray[np.floating],
    *,
    own_rows: NDArray[np.int64] | None = None,
    chunk: int = 8192,
) -> Neighbours:
    """Find the nearest of ``training`` (m, D) for each of ``features`` (n, D).

    Args:
        features: what to look up.
        training: where to search, features from the same extractor.
        own_rows: (n,) the row of ``training`` that each of ``features`` is; it is left out.
        chunk: training rows compared at once.

    Raises:
        UsageError: dimensions that differ, or no rows.
    """
    if features.ndim != 2 or training.ndim != 2 or features.shape[1] != training.shape[1]:
        raise UsageError(
            f"features {features.shape} and {training.shape} cannot be compared: "
            "give (n, D) and (m, D) from one extractor"
        )
    own = _own(own_rows, features, training)
    centre = training.mean(axis=0, dtype=np.float64)

    def centred(values: NDArray[np.floating]) -> Tensor:
        # centred in float64 first: the products are small and float32 will do for the search
        return torch.from_numpy((values - centre).astype(np.float32))

    def fetch(rows: Rows) -> Tensor:
        return centred(training[rows])

    return _search(centred(features), len(training), fetch, chunk, own)


def _search(
    queries: Tensor,
    count: int,
    fetch: Callable[[Rows], Tensor],
    chunk: int,
    own: Tensor | None,
) -> Neighbours:
    """Nearest of ``count`` rows that ``fetch`` gives, float32 like ``queries``."""
    keep = min(_AROUND, count - (own is not None))
    best = torch.full((len(queries), keep), torch.inf)
    indices = torch.zeros((len(queries), keep), dtype=torch.int64)
    for start in range(0, count, chunk):
        rows = fetch(slice(start, start + chunk))
        squares = (rows * rows).sum(dim=1)[None]
        for first in range(0, len(queries), _QUERIES):
            part = slice(first, first + _QUERIES)
            # |q - b|^2 without |q|^2, which does not change the order: one matrix product
            partial = torch.addmm(squares, queries[part], rows.T, alpha=-2.0)
            if own is not None:
                mine = own[part] - start
                inside = torch.nonzero((mine >= 0) & (mine < len(rows)))[:, 0]
                partial[inside, mine[inside]] = torch.inf
            found = partial.topk(min(keep, len(rows)), dim=1, largest=False)
            values = torch.cat([best[part], found.values], dim=1)
            places = torch.cat([indices[part], found.indices + start], dim=1)
            best[part], order = values.topk(keep, dim=1, largest=False)
            indices[part] = places.gather(1, order)
    return _measured(queries, best, indices, fetch)


def _measured(
    queries: Tensor, best: Tensor, indices: Tensor, fetch: Callable[[Rows], Tensor]
) -> Neighbours:
    """Distances of what was found; the nearest from differences: exact zero for an exact copy."""
    size = queries.shape[1]
    candidates = min(_RECHECKED, best.shape[1])
    exact = torch.empty((len(queries), candidates), dtype=torch.float64)
    for first in range(0, len(queries), _QUERIES):
        part = slice(first, first + _QUERIES)
        for place in range(candidates):
            matched = fetch(indices[part, place].numpy())
            exact[part, place] = (queries[part] - matched).double().square().mean(dim=1)
    squares, place = exact.min(dim=1)
    lengths = (queries.double().square().sum(dim=1)[:, None] + best) / size
    lengths[:, :candidates] = exact
    roots = lengths.clamp(min=0).sqrt()
    spacing = None
    if best.shape[1] > 1:
        # the nearest may not be the first: take it out of the sum wherever it stands
        spacing = ((roots.sum(dim=1) - squares.sqrt()) / (best.shape[1] - 1)).numpy()
    nearest = indices.gather(1, place[:, None])[:, 0]
    return Neighbours(nearest.numpy(), squares.sqrt().numpy(), spacing)


def _own(
    own_rows: NDArray[np.int64] | None, queries: NDArray[np.generic], training: NDArray[np.generic]
) -> Tensor | None:
    """The rows to leave out, once both sides have images."""
    if len(training) == 0 or len(queries) == 0:
        raise UsageError("nearest neighbours need at least one image on either side")
    if own_rows is None:
        return None
    if own_rows.shape != (len(queries),) or len(training) < 2:
        raise UsageError(
            f"own rows {own_rows.shape} of {len(queries)} images among {len(training)}: needs one "
            "of each, and two training images"
        )
    return torch.from_numpy(own_rows.astype(np.int64))


def _flat(images: NDArray[np.uint8]) -> Tensor:
    """Shrunk images as float32 rows (n, values), centred so that the products stay small."""
    return (shrink(images, LONGEST_SIDE).float() - 128.0).flatten(1)
