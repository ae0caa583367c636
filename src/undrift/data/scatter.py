"""Scatter plots of toy 2-D data: an image of two values is a point."""

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

BEHIND, BEFORE = (138, 143, 152), (48, 108, 212)
FRAME = (150, 155, 165)


def on_plane(shape: Sequence[int]) -> bool:
    """Whether an image of this shape (H, W, C) is a toy 2-D point: two values."""
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
    colour, opacity = np.zeros((side * side, 3)), np.zeros((side * side, 1))
    layers = [(behind, BEHIND)] if behind is not None else []
    for points, ink in [*layers, (images, BEFORE)]:
        places, cover = _cover(points.reshape(len(points), 2), side)
        # one layer over another, colours weighted by what each leaves to be seen
        left = (1 - cover) * opacity[places]
        opacity[places] = cover + left
        colour[places] = (cover * np.array(ink) + left * colour[places]) / opacity[places]
    picture = np.zeros((side, side, 4), np.uint8)
    seen = np.flatnonzero(opacity)
    levels = np.concatenate([colour[seen], 255 * opacity[seen]], axis=-1)
    picture.reshape(-1, 4)[seen] = np.round(levels)
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        edge[:] = (*FRAME, 255)
    return Image.fromarray(picture, "RGBA")


def _cover(points: NDArray[np.uint8], side: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pixels (k,) of a square picture that points (n, 2) cover, and their opacity (k, 1)."""
    right, up = points.astype(np.int64).T
    centre = (side - 1 - MARGIN - ZOOM * up) * side + MARGIN + ZOOM * right
    reach = np.arange(-MARGIN, MARGIN + 1)
    # the edge of a dot is one pixel wide, so that it looks round
    share = np.clip(DOT + 0.5 - np.hypot(reach[:, None], reach), 0.0, 1.0)
    down, across = np.nonzero(share)
    places = centre[:, None] + (reach[down] * side + reach[across])
    shares = np.broadcast_to(share[down, across], places.shape)
    weight = np.bincount(places.ravel(), shares.ravel(), minlength=side * side)
    covered = np.flatnonzero(weight)
    return covered, np.asarray(1 - (1 - OPACITY) ** weight[covered, None], np.float64)
