r"""Resolutions and widths of the stages between a latent vector and an image.

A size is halved while both sides are even and stay at least 4 pixels long: 32 x 32 has stages of
4, 8, 16 and 32, 28 x 28 of 7, 14 and 28. Bilinear resampling by two, with :math:`k = [1, 3, 3, 1]`:
growing weighs the two nearest pixels by 3/4 and 1/4, shrinking is its transpose, k/8 along each
side, so that neither leaves the aliases that repeating and skipping pixels do.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", for the
filter; every operation here can be differentiated twice, which gradient penalties need.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from undrift.errors import UsageError

LEAST = 4


def sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes (H, W) of the stages, coarsest first, ``size`` last.

    Raises:
        UsageError: if a side is not a multiple of 4.
    """
    if min(size) < LEAST or size[0] % LEAST or size[1] % LEAST:
        raise UsageError(
            f"a GAN for images of {size[0]}x{size[1]}: wanted sides that are multiples of {LEAST}; "
            f"give a --size such as {max(LEAST, round(max(size) / LEAST) * LEAST)}"
        )
    found = [size]
    while not (found[0][0] % 2 or found[0][1] % 2 or min(found[0]) < 2 * LEAST):
        found.insert(0, (found[0][0] // 2, found[0][1] // 2))
    return found


def widths(finest: int, stages: int, most: int = 8) -> list[int]:
    """Channels of each stage, coarsest first: twice as many at half the size, up to ``most`` times.

    Args:
        finest: channels of the last stage.
        stages: how many there are.
        most: largest multiple of ``finest``.
    """
    return [finest * min(most, 2 ** (stages - 1 - stage)) for stage in range(stages)]


def grown(x: Tensor) -> Tensor:
    """Twice the size, (B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def shrunk(x: Tensor) -> Tensor:
    """Half the size, (B, C, H, W) -> (B, C, H/2, W/2), by the transpose of ``grown``."""
    k = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype) / 8
    kernel = torch.outer(k, k).expand(x.shape[1], 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, stride=2, groups=x.shape[1])
