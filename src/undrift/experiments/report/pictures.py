"""Image arrays and PNG files as ``data:`` addresses, with the size at which to show them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page.

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
    columns = count if columns is None else min(columns, count)
    rows = -(-count // columns)
    gap = _gap(height, width)
    sheet = np.zeros(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 4), dtype=np.uint8
    )
    for place, image in enumerate(with_alpha(images)):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    scale = _scale(height, width, tile)
    return Picture(
        source=_address(Image.fromarray(sheet)),
        width=round(sheet.shape[1] * scale),
        height=round(sheet.shape[0] * scale),
        pixelated=scale > 1,
        label=label,
    )


def gap_of(size: tuple[int, ...], tile: int) -> float:
    """CSS pixels by which a tile of `strip` and its gap exceed ``tile``; may be negative."""
    height, width = size
    return (width + _gap(height, width)) * _scale(height, width, tile) - tile


def thumbnail(path: Path, label: str, *, side: int) -> Picture:
    """The PNG at ``path``, at most ``side`` CSS pixels and twice as many real ones on a side.

    Raises:
        OSError: it cannot be read as an image.
    """
    with Image.open(path) as file:
        image = file.convert("RGBA" if "A" in file.getbands() else "RGB")
    largest = max(image.size)
    scale = side / largest
    if largest > 2 * side:
        half = 2 * side / largest
        size = max(1, round(image.width * half)), max(1, round(image.height * half))
        image, scale = image.resize(size, Image.Resampling.LANCZOS), 0.5
    elif scale > 1:
        scale = float(int(scale))
    return Picture(
        source=_address(image),
        width=max(1, round(image.width * scale)),
        height=max(1, round(image.height * scale)),
        pixelated=scale > 1,
        label=label,
    )


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


def _address(image: Image.Image) -> str:
    if image.mode == "RGBA":
        bands = np.asarray(image)
        grey = (bands[..., 0] == bands[..., 1]).all() and (bands[..., 1] == bands[..., 2]).all()
        if grey:
            image = image.convert("LA")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
