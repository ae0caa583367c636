"""Images as PNG files that say how they were made."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from undrift.errors import UsageError

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def to_picture(image: np.ndarray) -> Image.Image:
    """One image, uint8 (H, W, C), as a picture.

    Raises:
        UsageError: for channels that no PNG has.
    """
    channels = image.shape[2]
    if channels not in _MODES:
        raise UsageError(f"images of {channels} channels have no PNG: write them with npz=")
    return Image.fromarray(image[:, :, 0] if channels == 1 else image)


def encode_png(picture: Image.Image, text: Mapping[str, str]) -> bytes:
    """The bytes of a PNG file with ``text`` beside the pixels."""
    notes = PngImagePlugin.PngInfo()
    for name, value in text.items():
        notes.add_text(name, value) if value.isascii() else notes.add_itxt(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=notes)
    return buffer.getvalue()


def read_png(path: Path) -> np.ndarray:
    """The pixels of a picture, uint8 (H, W, C).

    Raises:
        OSError: if it cannot be read; Pillow's errors are such.
    """
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels
