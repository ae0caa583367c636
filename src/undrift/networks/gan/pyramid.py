r"""Resolutions and widths of the stages between a latent vector and an image.

A size is halved while both sides are even and stay at least 4 pixels long: 32 x 32 has stages of
4, 8, 16 and 32, 28 x 28 of 7, 14 and 28. Bilinear resampling by two, with :math:`k = [1, 3, 3, 1]`:
growing weighs the two nearest pixels by 3/4 and 1/4, shrinking is its transpose, k/8 along each
side, so that neither leaves the aliases that repeating and skipping pixels do.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", for the
filter; every operation here can be differentiated twice, which gradient penalties need.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from undrift.advice import possible
from undrift.errors import UsageError
from undrift.wording import dimensions

LEAST = 4


def sizes(size: tuple[int, int], patch: int = 1) -> list[tuple[int, int]]:
    """Sizes (H, W) of the stages, coarsest first, that of the patches of ``size`` last.

    Args:
        size: (H, W) of the images.
        patch: side of the squares that are one place of the last stage.

    Raises:
        UsageError: if a side is not a multiple of 4, or not one of the patch.
    """
    if min(size) < LEAST or size[0] % LEAST or size[1] % LEAST:
        height, width = (max(LEAST, round(side / LEAST) * LEAST) for side in size)
        near = str(width) if width == height else dimensions(height, width)
        raise UsageError(
            f"a GAN for images of {dimensions(*size)}: wanted sides that are multiples of {LEAST}; "
            + possible(f"give {{size}} {near}", f"make them {near}")
        )
    if size[0] % patch or size[1] % patch:
        raise UsageError(
            f"patch {patch}: images of {dimensions(*size)} are no whole number of such squares; "
            "give 1, 2 or 4"
        )
    found = [(size[0] // patch, size[1] // patch)]
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
    rows, columns = (2 * x.new_tensor(_halving(2 * side)).T for side in x.shape[2:])
    return _resampled(x, rows, columns)


def shrunk(x: Tensor) -> Tensor:
    """Half the size, (B, C, H, W) -> (B, C, H/2, W/2), by the transpose of ``grown``."""
    rows, columns = (x.new_tensor(_halving(side)) for side in x.shape[2:])
    return _resampled(x, rows, columns)


@cache
def _halving(side: int) -> tuple[tuple[float, ...], ...]:
    """Matrix (side / 2, side) of k / 8; what lies beyond the border is the outermost pixel."""
    matrix = [[0.0] * side for _ in range(side // 2)]
    for number, row in enumerate(matrix):
        for place, weight in zip(range(2 * number - 1, 2 * number + 3), (1, 3, 3, 1), strict=True):
            row[min(max(place, 0), side - 1)] += weight / 8
    return tuple(map(tuple, matrix))


def _resampled(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows`` times every channel of ``x`` times the transpose of ``columns``.

    Written for channels-last memory, where both products go over channels that lie together.
    """
    batch, channels, height, width = x.shape
    y = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    y = torch.matmul(rows, y)
    y = torch.matmul(columns, y.reshape(-1, width, channels))
    return y.reshape(batch, len(rows), len(columns), channels).permute(0, 3, 1, 2)
