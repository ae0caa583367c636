"""Grey, colour and alpha: which channels a data set has, and how images are brought to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from undrift.errors import UsageError

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
MOSTLY_TRANSPARENT = 0.5
"""Alpha becomes a channel where more than this share of the images uses it."""


def parse_colour(colour: str | tuple[int, int, int] | None) -> Colour | None:
    """Read a colour: a CSS name, ``#rrggbb``, or three numbers from 0 to 255.

    Raises:
        UsageError: none of these.
    """
    if colour is None:
        return None
    if isinstance(colour, str):
        try:
            return ImageColor.getrgb(colour)[:3]
        except ValueError as error:
            raise UsageError(f"background {colour!r} is no colour: try white or #ffffff") from error
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise UsageError(f"background {colour!r} is no colour: give three numbers from 0 to 255")
    return (int(colour[0]), int(colour[1]), int(colour[2]))


def choose_channels(count: int, colourful: int, transparent: int, background: Colour | None) -> int:
    """Choose 1, 3 or 4 channels from what the pixels use.

    Args:
        count: images.
        colourful: images whose three colours differ anywhere.
        transparent: images with a pixel that is not opaque.
        background: colour onto which transparent images are composited; None keeps alpha.
    """
    if background is None and transparent > MOSTLY_TRANSPARENT * count:
        return 4
    return 3 if colourful else 1


def widened(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Repeat grey and add opaque alpha where fewer than ``channels`` are there; (..., C) uint8.

    Grey and alpha (C = 2) widens to four channels only.
    """
    have = pixels.shape[-1]
    if have == channels:
        return pixels
    grey_alpha = have == 2
    colour = np.broadcast_to(pixels[..., :1], (*pixels.shape[:-1], 3)) if have < 3 else pixels
    if channels == 3:
        return np.ascontiguousarray(colour)
    alpha = pixels[..., 1:2] if grey_alpha else np.full((*pixels.shape[:-1], 1), 255, np.uint8)
    return np.concatenate([colour, alpha], axis=-1)


def narrowed(pixels: NDArray[np.uint8], channels: int, background: Colour) -> NDArray[np.uint8]:
    """Composite alpha on ``background`` and turn to grey where fewer channels are wanted.

    Grey is ITU-R BT.601 luma, 0.299 R + 0.587 G + 0.114 B, exact where R = G = B.
    """
    if pixels.shape[-1] == 4 and channels < 4:
        pixels = composited(pixels, background)
    if pixels.shape[-1] == 3 and channels == 1:
        # Integers that sum to 2^16, so that grey stays exactly what it was.
        weights = np.array([19595, 38470, 7471], np.uint32)
        luma = (pixels.astype(np.uint32) * weights).sum(axis=-1, keepdims=True)
        return ((luma + 2**15) >> 16).astype(np.uint8)
    return pixels


def composited(pixels: NDArray[np.uint8], background: Colour) -> NDArray[np.uint8]:
    """Lay RGBA over an opaque colour: ``round((a c + (255 - a) b) / 255)``."""
    alpha = pixels[..., 3:].astype(np.uint32)
    below = np.array(background, np.uint32)
    mixed = alpha * pixels[..., :3] + (255 - alpha) * below
    return ((mixed + 127) // 255).astype(np.uint8)
