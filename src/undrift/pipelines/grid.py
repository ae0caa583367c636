"""Many images as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from undrift.arguments import checked
from undrift.data.scatter import on_plane, scatter
from undrift.errors import UsageError

_VIEWABLE = 64  # pixels: smaller images are enlarged towards this
_GAP = 2
_PAPER = 255
_CHECKERS = (255, 208)
_CHECKER_SIZE = 8


@checked
def image_grid(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """Lay images out row by row on white; toy 2-D points are drawn where they lie.

    Tiny images are enlarged by a whole factor without smoothing, so that each pixel stays a square;
    transparent ones are laid over a checkerboard.

    Args:
        images: uint8 (N, H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        columns: images per row; by default the grid is about square.

    Returns:
        A picture of mode L (grey) or RGB.

    Raises:
        UsageError: for no images, another type or shape, or columns < 1.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
        raise UsageError(
            f"image grid of {images.dtype} {images.shape}: give uint8 (N, H, W, C), C up to 4"
        )
    count, height, width, _ = images.shape
    if count == 0:
        raise UsageError("image grid of no images: give at least one")
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    if columns < 1:
        raise UsageError(f"image grid of {columns} columns: give at least 1")
    if on_plane(images.shape[1:]):
        return cloud_grid([images], columns=1)
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    factor = max(1, _VIEWABLE // max(height, width))
    tiles = _opaque(images.repeat(factor, axis=1).repeat(factor, axis=2))
    high, wide = height * factor + _GAP, width * factor + _GAP
    canvas = np.full((rows * high + _GAP, columns * wide + _GAP, tiles.shape[3]), _PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * high + _GAP, i % columns * wide + _GAP
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)


def cloud_grid(clouds: Sequence[np.ndarray], columns: int, side: int | None = None) -> Image.Image:
    """Lay clouds of toy 2-D points out row by row on white, each as one picture.

    Args:
        clouds: uint8 (n, 1, 2, 1) each, of any n.
        columns: clouds per row.
        side: of each picture in pixels; None for its own.

    Returns:
        A picture of mode RGB.
    """
    pictures = [scatter(cloud) for cloud in clouds]
    if side is not None:
        pictures = [picture.resize((side, side), Image.Resampling.BOX) for picture in pictures]
    side = pictures[0].width
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (side + _GAP) - _GAP, rows * (side + _GAP) - _GAP)
    canvas = Image.new("RGB", size, "white")
    for i, picture in enumerate(pictures):
        place = (i % columns * (side + _GAP), i // columns * (side + _GAP))
        canvas.paste(picture, place, mask=picture)
    return canvas


def _opaque(images: np.ndarray) -> np.ndarray:
    """Lay transparent images over a checkerboard: C = 2 becomes 1, C = 4 becomes 3."""
    if images.shape[3] in (1, 3):
        return images
    height, width = images.shape[1:3]
    row, column = np.ogrid[:height, :width]
    dark = (row // _CHECKER_SIZE + column // _CHECKER_SIZE) % 2
    board = np.where(dark == 1, _CHECKERS[1], _CHECKERS[0])[None, :, :, None]
    opacity = images[..., -1:].astype(np.float32) / 255
    return np.round(images[..., :-1] * opacity + board * (1 - opacity)).astype(np.uint8)
