"""Bringing an image to the data set's size.

Resampling is antialiased Lanczos on the stored values: they are not linearised first (gamma 1),
as in nearly every data set and tool. Colours are premultiplied by alpha while they are resampled,
so that the invisible colour of transparent pixels does not bleed into the edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Fit = Literal["crop", "pad"]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
SQUARES = (8, 16, 24, 32, 64, 96, 128, 192, 256)
LARGEST_DEFAULT = 256
NEARLY_UNIFORM = 0.9


def default_size(sizes: Mapping[tuple[int, int], int]) -> tuple[int, int]:
    """Choose (height, width) from how often each size occurs.

    The most common size where nine in ten images have it and it is at most 256 long; else a square:
    the largest of 8, 16, 24, 32, 64, 96, 128, 192 and 256 within the median shorter side.
    """
    total = sum(sizes.values())
    common, count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    if count >= NEARLY_UNIFORM * total and max(common) <= LARGEST_DEFAULT:
        return common
    shorter: Counter[int] = Counter()
    for size, number in sizes.items():
        shorter[min(size)] += number
    seen = 0
    median = 1
    for side, number in sorted(shorter.items()):
        seen += number
        median = side
        if 2 * seen >= total:
            break
    side = max((square for square in SQUARES if square <= median), default=median)
    return side, side


def fitted(
    pixels: NDArray[np.uint8], size: tuple[int, int], fit: Fit, *, nearest: bool = False
) -> NDArray[np.uint8]:
    """Resize to ``size``, aspect kept.

    Args:
        pixels: uint8 (H, W, C), C from 1 to 4.
        size: wanted (height, width).
        fit: "crop" covers the size and cuts what hangs over, evenly on both sides; "pad" fits
            inside and fills up with zeros, which is black, or full transparency where there is
            alpha; see :func:`inner`.
        nearest: take the nearest pixel in the place of Lanczos, for pixels that are classes.

    Returns:
        uint8 (height, width, C); the input itself where it already fits.
    """
    height, width, channels = pixels.shape
    if (height, width) == size:
        return pixels
    ratios = size[0] / height, size[1] / width
    resampling = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, MODES[channels])
    if fit == "crop":
        scale = max(ratios)
        cut = (width - size[1] / scale) / 2, (height - size[0] / scale) / 2
        # Rounding must not push the box outside the image.
        left, top = max(0.0, cut[0]), max(0.0, cut[1])
        box = (left, top, width - left, height - top)
        return as_array(image.resize((size[1], size[0]), resampling, box))
    rows, columns = inner((height, width), size)
    inside = columns.stop - columns.start, rows.stop - rows.start
    padded = np.zeros((*size, channels), np.uint8)
    padded[rows, columns] = as_array(image.resize(inside, resampling))
    return padded


def inner(have: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of ``size`` that an image of (height, width) covers in "pad"."""
    if have == size:
        return slice(0, size[0]), slice(0, size[1])
    scale = min(size[0] / have[0], size[1] / have[1])
    height, width = max(1, round(have[0] * scale)), max(1, round(have[1] * scale))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def as_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return (H, W, C) uint8, grey as C = 1."""
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array
