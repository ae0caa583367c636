r"""How varied images are: the effective number of dimensions of their thumbnails.

Each image is averaged over areas to at most 8 x 8 pixels, its colours are multiplied by alpha where
there is one, and its levels are put on [0, 1]. With lambda_j the eigenvalues of the thumbnails'
covariance and p_j = lambda_j / sum_k lambda_k,

    D = exp(-sum_j p_j log p_j),                                                            (1)

the exponential of the spectrum's entropy (the effective rank of Roy and Vetterli, 2007): 1 if all
thumbnails lie on a line, d if they fill d dimensions evenly. At most 500 evenly spaced images are
used: D of 300 images is within a tenth of that of thousands, and takes well under a second.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.metrics.corruptions import has_alpha
from undrift.metrics.features.resizing import shrink_levels

MOST = 500
"""Images that are used."""

SIDE = 8
"""Longest side of a thumbnail in pixels."""


def effective_dimensions(images: NDArray[np.uint8]) -> float:
    """D of eq. (1) of ``images`` (n, H, W, C): 1.0 where they are all the same.

    Raises:
        ValueError: no image.
    """
    if len(images) == 0:
        raise ValueError("effective dimensions of no image")
    rows = np.linspace(0, len(images) - 1, min(len(images), MOST)).astype(np.int64)
    levels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float() / 255
    if has_alpha(images):
        levels = torch.cat([levels[:, :-1] * levels[:, -1:], levels[:, -1:]], dim=1)
    points = shrink_levels(levels, SIDE).flatten(1).double()
    variances = torch.linalg.svdvals(points - points.mean(dim=0)).square()
    if variances.sum() <= 0:
        return 1.0
    shares = variances / variances.sum()
    return float(torch.special.entr(shares).sum().exp())  # (1)
