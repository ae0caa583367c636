r"""How varied images are: the effective number of dimensions of their thumbnails.

Each image is averaged over areas to at most 8 x 8 pixels, its colours are multiplied by alpha where
there is one, and its levels are put on [0, 1]. With lambda_j the eigenvalues of the thumbnails'
covariance and p_j = lambda_j / sum_k lambda_k,

    D = exp(-sum_j p_j log p_j),                                                            (1)

the exponential of the spectrum's entropy (the effective rank of Roy and Vetterli, 2007): 1 if all
thumbnails lie on a line, d if they fill d dimensions evenly. At most 500 evenly spaced images are
used: D of 300 images is within a tenth of that of thousands, and takes less than a second.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.metrics.features.colour import premultiplied
from undrift.metrics.features.resizing import shrink_levels

MOST = 500
"""Images that are used, of up to 100,000 values each; fewer of larger ones, but 50."""

SIDE = 8
"""Longest side of a thumbnail in pixels."""

_VALUES = MOST * 100_000
_FEWEST = 50
_BLOCK = 64


def spread_rows(count: int, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Evenly spaced rows of ``count`` images of ``shape`` (H, W, C): as many as are used."""
    most = min(MOST, max(_FEWEST, _VALUES // math.prod(shape)))
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def effective_dimensions(images: NDArray[np.uint8]) -> float:
    """D of eq. (1) of ``images`` (n, H, W, C): 1.0 where they are all the same.

    Raises:
        ValueError: no image.
    """
    if len(images) == 0:
        raise ValueError("effective dimensions of no image")
    height, width, channels = images.shape[1:]
    rows = spread_rows(len(images), (height, width, channels))
    parts = np.array_split(rows, math.ceil(len(rows) / _BLOCK))
    points = torch.cat([_thumbnails(images[part]) for part in parts])
    variances = torch.linalg.svdvals(points - points.mean(dim=0)).square()
    if variances.sum() <= 0:
        return 1.0
    shares = variances / variances.sum()
    return float(torch.special.entr(shares).sum().exp())  # (1)


def _thumbnails(images: NDArray[np.uint8]) -> Tensor:
    """(n, d) float64 on [0, 1]."""
    colours, alpha = premultiplied(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    planes = colours if alpha is None else torch.cat([colours, alpha], dim=1)
    return shrink_levels(planes, SIDE).flatten(1).double()
