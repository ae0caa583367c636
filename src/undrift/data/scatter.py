"""Points of the plane as a picture: images of two values are drawn where these values are."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ZOOM = 2
"""Pixels of the picture per level."""

MARGIN = 6
DOT = 2.6
"""Radius of a point, in pixels of the picture."""

OPACITY = 0.45
"""Of one point; where points lie over each other it grows towards 1."""

BEHIND, BEFORE = (138, 143, 152), (31, 95, 191)
FRAME = (150, 155, 165)


def on_plane(shape: Sequence[int]) -> bool:
    """Whether an image of this shape (H, W, C) is a point of the plane: two values."""
    return prod(shape) == 2


def scatter(images: NDArray[np.uint8], behind: NDArray[np.uint8] | None = None) -> Image.Image:
    """Draw points, first value to the right and second value up, over others in grey.

    Args:
        images: uint8 (n, ...), two values each.
        behind: uint8 (m, ...), two values each.

    Returns:
        An RGBA picture, see-through where there are no points.
    """
    side = 255 * ZOOM + 1 + 2 * MARGIN
    colour, opacity = np.zeros((side, side, 3)), np.zeros((side, side, 1))
    layers = [(behind, BEHIND)] if behind is not None else []
    for points, ink in [*layers, (images, BEFORE)]:
        cover = _cover(points.reshape(len(points), 2), side)[..., None]
        # one layer over another, colours weighted by what each leaves to be seen
        total = cover + (1 - cover) * opacity
        mixed = cover * np.array(ink) + (1 - cover) * opacity * colour
        colour = np.divide(mixed, total, out=np.zeros_like(mixed), where=total > 0)
        opacity = total
    picture = np.concatenate([colour, 255 * opacity], axis=-1)
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        edge[:] = (*FRAME, 255)
    return Image.fromarray(np.round(picture).astype(np.uint8), "RGBA")


def _cover(points: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """How opaque points (n, 2) make a square picture: (side, side) in [0, 1)."""
    counts = np.zeros((side, side))
    column = MARGIN + ZOOM * points[:, 0].astype(np.int64)
    row = side - 1 - MARGIN - ZOOM * points[:, 1].astype(np.int64)
    np.add.at(counts, (row, column), 1.0)
    reach = int(np.ceil(DOT))
    weight = np.zeros((side, side))
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            # the edge of a dot is one pixel wide, so that it looks round
            share = np.clip(DOT + 0.5 - np.hypot(down, right), 0.0, 1.0)
            if share > 0:
                weight += share * np.roll(counts, (down, right), axis=(0, 1))
    return 1 - (1 - OPACITY) ** weight
