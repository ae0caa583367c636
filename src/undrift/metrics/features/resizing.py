"""Area averaging of image arrays, the one resize that metrics use: it never invents detail."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 1024


def shrunk_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Size with the longer side at most ``longest``, the aspect kept, at least one pixel each."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_levels(levels: Tensor, longest: int) -> Tensor:
    """Average ``levels`` (n, C, H, W), floating-point, as `shrink` does, without rounding."""
    size = shrunk_size(levels.shape[2], levels.shape[3], longest)
    if levels.shape[2:] == size:
        return levels
    return F.interpolate(levels, size=size, mode="area")


def shrink(images: NDArray[np.uint8], longest: int) -> Tensor:
    """Average ``images`` (n, H, W, C) uint8 over areas until no side exceeds ``longest`` pixels.

    Returns:
        (n, C, h, w) uint8, rounded to the nearest level; untouched where they are small enough.
    """
    size = shrunk_size(images.shape[1], images.shape[2], longest)
    parts = []
    for start in range(0, len(images), _BLOCK):
        # a copy, because memory-mapped images are read-only and torch tensors are not
        block = torch.from_numpy(np.array(images[start : start + _BLOCK])).permute(0, 3, 1, 2)
        if block.shape[2:] != size:
            block = shrink_levels(block.float(), longest).round().to(torch.uint8)
        parts.append(block.contiguous())
    return torch.cat(parts)
