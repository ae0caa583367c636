"""Two sets of features as tensors, once they are what a distance can be computed of."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError


def pair_of_rows(
    x: NDArray[np.floating], y: NDArray[np.floating], fewest: int
) -> tuple[Tensor, Tensor]:
    """``x`` (n, D) and ``y`` (m, D) as float64 tensors, n and m at least ``fewest``.

    Raises:
        UsageError: other shapes, features that are not finite or of two extractors, too few rows.
    """
    found = []
    for given in (x, y):
        rows = torch.from_numpy(np.ascontiguousarray(given, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] == 0 or len(rows) < fewest:
            raise UsageError(
                f"features have shape {tuple(rows.shape)}: give an array (n, D) with n >= {fewest}"
            )
        if not bool(torch.isfinite(rows).all()):
            raise UsageError("features hold NaN or infinity: check the images they were made from")
        found.append(rows)
    if found[0].shape[1] != found[1].shape[1]:
        raise UsageError(
            f"features of {found[0].shape[1]} and {found[1].shape[1]} dimensions cannot be "
            "compared: use one extractor"
        )
    return found[0], found[1]
