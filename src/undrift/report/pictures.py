"""Image arrays and PNG files as ``data:`` addresses, with the size at which to show them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undrift.pipelines.png import opened_picture

ENLARGED = 480
"""Pixels of the longer side that a small picture of a larger one has, for a click on it."""

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        source: its ``data:`` address.
        width: CSS pixels to show it at.
        height: CSS pixels.
        pixelated: show the pixels as squares, because it is drawn larger than it is.
        label: what it shows, also for readers who cannot see it.
    """

    source: str
    width: int
    height: int
    pixelated: bool
    label: str


def strip(images: Images, label: str, *, tile: int = 56, columns: int | None = None) -> Picture:
    """Draw ``images`` (n, H, W, C) uint8 side by side, ``tile`` CSS pixels each, gaps see-through.

    Small images are enlarged by a whole factor, so that every pixel keeps its shape.
    """
    count, height, width, _ = images.shape
    across = count if columns is None else min(columns, count)
    rows = -(-count // across)
    gap = _gap(height, width)
    sheet = np.zeros((rows * (height + gap) - gap, across * (width + gap) - gap, 4), dtype=np.uint8)
    for place, image in enumerate(with_alpha(images)):
        top, left = place // across * (height + gap), place % across * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return shown(Image.fromarray(sheet), _scale(height, width, tile), label)


def gap_of(size: tuple[int, ...], tile: int) -> float:
    """CSS pixels by which a tile of `strip` and its gap exceed ``tile``; may be negative."""
    height, width = size
    return (width + _gap(height, width)) * _scale(height, width, tile) - tile


def thumbnail(path: Path, label: str, *, side: int) -> Picture:
    """The PNG at ``path``, at most ``side`` CSS pixels on a side.

    Raises:
        OSError: it cannot be read as an image.
    """
    with opened_picture(path) as file:
        image = file.convert("RGBA" if "A" in file.getbands() else "RGB")
    scale = side / max(image.size)
    return shown(image, float(int(scale)) if scale > 1 else scale, label)


def as_drawn(path: Path, label: str) -> Picture:
    """The PNG at ``path`` with every pixel that it has.

    Raises:
        OSError: it cannot be read as an image.
    """
    with opened_picture(path) as file:
        return shown(file.convert("RGBA" if "A" in file.getbands() else "RGB"), 1.0, label)


def with_alpha(images: Images) -> Images:
    """``images`` (n, H, W, C) of 1, 3 or 4 channels as (n, H, W, 4)."""
    channels = images.shape[-1]
    if channels == 4:
        return images
    colour = np.repeat(images, 3, axis=-1) if channels == 1 else images[..., :3]
    return np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=-1)


def by_class(
    images: Images, labels: NDArray[np.int64], names: Sequence[str], *, per_class: int, most: int
) -> list[tuple[str, Images]]:
    """Name and up to ``per_class`` images of each of the first ``most`` classes that have any."""
    rows = []
    for label in np.unique(labels)[:most]:
        name = names[label] if 0 <= label < len(names) else str(label)
        rows.append((name, images[labels == label][:per_class]))
    return rows


def _gap(height: int, width: int) -> int:
    return max(1, round(max(height, width) / 14))


def _scale(height: int, width: int, tile: int) -> float:
    scale = tile / max(height, width)
    return float(round(scale)) if scale > 1.5 else min(scale, 1.0)


def shown(image: Image.Image, scale: float, label: str) -> Picture:
    """``image`` at ``scale`` CSS pixels per pixel, with no more pixels than it has when enlarged.

    What is shown at its own size or larger is stored exactly (PNG); what is shown smaller is a
    photograph, stored as a photograph (WebP), which keeps the page small.
    """
    width, height = (max(1, round(length * scale)) for length in image.size)
    longest = max(2 * width, 2 * height, ENLARGED)
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if scale < 1:
        source = _address(image, "WEBP", {"quality": 88, "method": 4})
    else:
        source = _address(_plain(image), "PNG", {"optimize": True})
    return Picture(source, width, height, pixelated=scale > 1, label=label)


def _plain(image: Image.Image) -> Image.Image:
    """Grey where all colours are: a third of the bytes."""
    if image.mode != "RGBA":
        return image
    red, green, blue, _ = np.moveaxis(np.asarray(image), -1, 0)
    return image.convert("LA") if (red == green).all() and (green == blue).all() else image


def _address(image: Image.Image, kind: str, options: Mapping[str, object]) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()
