"""Colour profiles: from an image's own colours to sRGB, in which all images are here.

The conversion is lcms's, relative colorimetric with black point compensation, on 8-bit values. A
profile that moves no colour by more than one pixel value is sRGB itself: such images stay bit for
bit as they are, like those without a profile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Space = Literal["GRAY", "RGB", "CMYK"]
"""Colour space of the pixels."""

LARGEST_PROFILE = 16 * 2**20
"""Bytes; profiles of printers have two megabytes."""

SPACE = slice(16, 20)
"""Where the header of a profile names its colour space."""

SAME = 1
"""Pixel values by which sRGB profiles of different makers differ."""

_MODES: dict[Space, str] = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE


@dataclass(frozen=True)
class Conversion:
    """How pixels of one profile become sRGB.

    Attributes:
        transform: from RGB or CMYK pixels to sRGB; None where they stay as they are.
        table: from grey values to sRGB's, uint8 (256,); None where they stay as they are.
        problem: why the profile cannot be applied.
    """

    transform: ImageCms.ImageCmsTransform | None = None
    table: NDArray[np.uint8] | None = None
    problem: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it changes any pixel."""
        return self.transform is not None or self.table is not None

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert uint8 (H, W, C), C from 1 to 4; alpha stays as it is."""
        if self.table is not None:
            return np.concatenate([self.table[pixels[..., :1]], pixels[..., 1:]], axis=-1)
        if self.transform is None or pixels.shape[-1] < 3:
            return pixels
        colours = Image.fromarray(np.ascontiguousarray(pixels[..., :3]), "RGB")
        converted = np.asarray(self.image(colours))
        return np.concatenate([converted, pixels[..., 3:]], axis=-1)

    def image(self, pixels: Image.Image) -> Image.Image:
        """Convert an RGB or CMYK image to RGB."""
        if self.transform is None:
            return pixels.convert("RGB")
        made = ImageCms.applyTransform(pixels, self.transform)
        if made is None:  # only where the transform works in place, which this one does not
            raise ValueError("colour conversion gave no image")
        return made


NONE = Conversion()


@lru_cache(maxsize=64)
def conversion(profile: bytes, space: Space) -> Conversion:
    """Return how pixels of ``space`` with this ICC profile become sRGB."""
    if len(profile) > LARGEST_PROFILE:
        return Conversion(problem=f"larger than {LARGEST_PROFILE // 2**20} MiB")
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        has = profile[SPACE].decode("ascii", "replace").strip()
        if has == space or (has == "RGB" and space == "GRAY"):
            return _conversion(opened, space, _MODES["RGB" if has == "RGB" else space])
        return Conversion(problem=f"for {has} pixels, the image is {space}")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return Conversion(problem="damaged")


def _conversion(profile: ImageCms.ImageCmsProfile, space: Space, mode: str) -> Conversion:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        _FLAGS,
    )
    made = Conversion(transform=transform)
    if space == "CMYK":
        return made
    ramp = np.arange(256, dtype=np.uint8)
    grey = Image.fromarray(ramp[None] if mode == "L" else np.stack([ramp] * 3, -1)[None], mode)
    greys = np.asarray(made.image(grey))[0]
    if space == "GRAY":
        table = greys[:, 1]
        return NONE if _same(table, ramp) else Conversion(table=table)
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    same = _same(greys, ramp[:, None]) and _same(made.apply(colours), colours)
    return NONE if same else made


def _same(converted: NDArray[np.uint8], given: NDArray[np.uint8]) -> bool:
    return int(np.abs(converted.astype(int) - given).max()) <= SAME
