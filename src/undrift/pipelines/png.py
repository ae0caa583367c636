"""Images as PNG files that say how they were made."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from undrift.errors import UndriftError, UsageError, one_line
from undrift.files.ownership import SOFTWARE
from undrift.files.reading import regular_bytes

LARGEST = 512 * 2**20
"""Bytes; a larger picture is not read."""

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
    """The bytes of a PNG file with ``text`` beside the pixels, and that undrift wrote it."""
    notes = PngImagePlugin.PngInfo()
    for name, value in {"Software": SOFTWARE, **text}.items():
        notes.add_text(name, value) if value.isascii() else notes.add_itxt(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=notes)
    return buffer.getvalue()


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """The picture in a regular file; not decoded yet, so that its size can be checked before.

    Raises:
        OSError: there is none, or no regular file; also for what Pillow raises inside the block.
    """
    data = regular_bytes(path, LARGEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                yield picture
    except (OSError, UndriftError):
        raise
    # Decoders of damaged files raise whatever they stumble over.
    except Exception as error:
        raise OSError(one_line(error)) from error


def read_png(path: Path) -> np.ndarray:
    """The pixels of a picture, uint8 (H, W, C).

    Raises:
        OSError: if it cannot be read; Pillow's errors are such.
    """
    with opened_picture(path) as picture:
        pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels
