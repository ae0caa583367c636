"""Between images of any size and the grids that networks compute on.

Space-to-depth turns every ``patch`` x ``patch`` square into channels of one position. Images whose
sides the patch does not divide are padded with zeros at the bottom and right, and cropped again at
the end: zero is the mean of what a preconditioned network is given.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from undrift.networks.context import Context
from undrift.networks.embedding import required


def grid_size(size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Return how many patches cover an image of ``size`` (H, W), rounded up."""
    height, width = size
    return -(-height // patch), -(-width // patch)


def with_maps(x: Tensor, context: Context | None, maps: int) -> Tensor:
    """Put the context's maps behind the channels of ``x``, resized to it.

    Args:
        x: (B, C, H, W).
        context: holds ``maps`` (B, maps, h, w) if ``maps`` is not 0.
        maps: channels of the maps that the network was built for.
    """
    if not maps:
        return x
    drawn = required(context, "maps")
    if drawn.shape[2:] != x.shape[2:]:
        drawn = F.interpolate(drawn, size=x.shape[2:], mode="bilinear", antialias=True)
    return torch.cat([x, drawn.to(x.dtype)], dim=1)


def to_patches(x: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) -> (B, C * patch**2, ceil(H / patch), ceil(W / patch))."""
    height, width = x.shape[2:]
    below, right = -height % patch, -width % patch
    if below or right:
        x = F.pad(x, (0, right, 0, below))
    return F.pixel_unshuffle(x, patch) if patch > 1 else x


def from_patches(x: Tensor, patch: int, size: tuple[int, int]) -> Tensor:
    """Invert ``to_patches`` for an image of ``size`` (H, W)."""
    if patch > 1:
        x = F.pixel_shuffle(x, patch)
    height, width = size
    return x if x.shape[2:] == size else x[:, :, :height, :width]
