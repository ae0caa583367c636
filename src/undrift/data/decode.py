"""From an encoded image to the right pixels, uint8.

What is done, since plain ``Image.convert`` saturates 16-bit grey and turns float images black:

==========================  ======================================================================
1-bit, 2-bit, 4-bit, grey   spread over 0..255
palette                     its colours; alpha where the palette or a colour key is transparent
16-bit grey                 ``round(v * 255 / 65535)``; 12-bit TIFF by 4095; white-is-zero turned
16-bit colour               the high byte of each value (at most 1 from rounding)
float within 0..1           ``round(255 v)``
other float, 32-bit integer one linear scale for all such images of a data set: see :class:`Scale`
CMYK                        ``(255 - C)(255 - K) / 255``; inverted as Adobe's marker says
EXIF orientation            applied
animated, several pages     the first frame, counted
colour profile (ICC)        converted to sRGB: see :mod:`undrift.data.profiles`
==========================  ======================================================================

Which format it is, the content decides, never the file's extension. Formats that run other programs
(EPS, WMF) are not opened. An image is measured by its header before anything is decoded. What is
damaged beside the pixels (texts, EXIF data) is left out: see :mod:`undrift.data.containers`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undrift.data.containers import BrokenPixelsError, pixels_only, without_texts
from undrift.data.profiles import NONE, Conversion, conversion
from undrift.data.sources.filetypes import unread_content

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 89_478_485
"""A larger image is taken for a decompression bomb (Pillow's own limit, 256 MiB at RGB)."""

ORIENTATION = 0x0112
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262


Bomb = Image.DecompressionBombError | Image.DecompressionBombWarning
Result = TypeVar("Result")


class RejectedError(Exception):
    """This image is set aside; the message is the reason."""


@dataclass(frozen=True)
class Header:
    """What is known of an image before its pixels are needed.

    Attributes:
        size: (height, width) as it will be shown, orientation applied.
        mode: Pillow's name for its pixels.
        channels: most channels that its pixels may need: 1, 2, 3 or 4.
        animated: it has several frames or pages.
        rotated: its orientation is not the stored one.
        profiled: its colours are converted from its colour profile to sRGB.
        remarks: what is wrong beside its pixels, to be counted.
        extremes: smallest and largest value, for float and 32-bit images only.
    """

    size: tuple[int, int]
    mode: str
    channels: int
    animated: bool
    rotated: bool
    profiled: bool
    remarks: tuple[str, ...]
    extremes: tuple[float, float] | None


@dataclass(frozen=True)
class Scale:
    """The linear scale of float or 32-bit integer images: low becomes 0, high becomes 255.

    Float images within 0..1 need none. One scale serves all others of their kind in a data set, so
    that a dark image stays darker than a bright one.
    """

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> Scale:
        """Choose from the data set's extremes: 0..255 or 0..65535, or else just them."""
        for top in (255.0, 65535.0):
            if low >= 0 and high <= top:
                return cls(0.0, top)
        return cls(low, high)


UNIT = Scale(0.0, 1.0)
Scales = Mapping[str, Scale]
"""By Pillow's mode, "F" for float and "I" for 32-bit integers."""


def common_scales(headers: Iterable[Header]) -> dict[str, Scale]:
    """Return the scale of each mode that needs one; empty for ordinary images."""
    found: dict[str, list[tuple[float, float]]] = {}
    for header in headers:
        if header.extremes is not None and not is_unit(header.mode, header.extremes):
            found.setdefault(header.mode, []).append(header.extremes)
    return {
        mode: Scale.of(min(low for low, _ in pairs), max(high for _, high in pairs))
        for mode, pairs in found.items()
    }


def is_unit(mode: str, extremes: tuple[float, float]) -> bool:
    """Whether values are floats within 0..1, where 1 can only mean white."""
    return mode == "F" and extremes[0] >= 0 and extremes[1] <= 1


@cache
def known_formats() -> tuple[str, ...]:
    """Return the formats that this build of Pillow can read, of those that are allowed."""
    # Without it Pillow knows only the plugins that someone happened to import.
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def strict_warnings() -> Iterator[None]:
    """Make Pillow's bomb warning an error and its other complaints silent.

    Filters belong to the process, so enter this once around all decoding, not in each thread.
    """
    known_formats()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def examine(data: bytes) -> Header:
    """Read an image's header, and of float images the extremes.

    Raises:
        RejectedError: empty, not an image, damaged, or too large.
    """
    if not data:
        raise RejectedError("empty file")
    header, damaged = attempt(data, header_of)
    if not damaged:
        return header
    return replace(header, remarks=("damaged metadata, which is left out", *header.remarks))


def decode(data: bytes, scales: Scales) -> NDArray[np.uint8]:
    """Decode an image that :func:`examine` accepted.

    Args:
        data: the encoded image.
        scales: from :func:`common_scales`.

    Returns:
        uint8 (H, W, C) in sRGB; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not
        premultiplied).

    Raises:
        RejectedError: damaged, or of a kind that has no agreed pixels.
    """
    return attempt(data, lambda image: pixels_of(image, data, scales))[0]


def attempt(data: bytes, work: Callable[[Image.Image], Result]) -> tuple[Result, bool]:
    """Open an image and do ``work`` with it, at need without what lies beside its pixels.

    Returns:
        The result, and whether something damaged was left out.

    Raises:
        RejectedError: neither way is possible.
    """
    try:
        whole, damaged = without_texts(data)
        with Image.open(io.BytesIO(whole), formats=known_formats()) as image:
            return work(image), damaged
    except RejectedError:
        raise
    # Decoders of damaged files raise whatever they stumble over; each is a reason, none is hidden.
    except Exception as error:
        rejected = RejectedError(reason(error, data))
        rejected.__cause__ = error
        if isinstance(error, BrokenPixelsError | MemoryError | Bomb):
            raise rejected from error
    reduced = pixels_only(data)
    if reduced is None:
        raise rejected
    try:
        with Image.open(io.BytesIO(reduced), formats=known_formats()) as image:
            return work(image), True
    except RejectedError:
        raise
    # The pixels are damaged too: the first reason stands.
    except Exception:
        raise rejected from rejected.__cause__


def header_of(image: Image.Image) -> Header:
    """Read what is known of an opened image."""
    if image.width * image.height > MOST_PIXELS:
        raise RejectedError(too_large(image.width, image.height))
    turned = image.format != "TIFF" and orientation(image) >= 5
    colours = conversion_of(image)
    problem = colours.problem
    return Header(
        size=(image.width, image.height) if turned else (image.height, image.width),
        mode=image.mode,
        channels=channels_of(image),
        # MPO: a photo with its own thumbnails, not an animation.
        animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
        rotated=orientation(image) > 1,
        profiled=colours.changes,
        remarks=() if problem is None else (f"a colour profile that is not applied: {problem}",),
        extremes=extremes(image),
    )


def conversion_of(image: Image.Image) -> Conversion:
    """Return how an image's colours become sRGB."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode in ("F", "I"):
        return NONE
    grey = channels_of(image) <= 2
    return conversion(profile, "GRAY" if grey else "CMYK" if image.mode == "CMYK" else "RGB")


def pixels_of(image: Image.Image, data: bytes, scales: Scales) -> NDArray[np.uint8]:
    """Decode an opened image; ``data`` is its file."""
    # TIFF's load() applies the orientation by itself.
    turn = 1 if image.format == "TIFF" else orientation(image)
    inverted = tiff_tag(image, PHOTOMETRIC) == 0
    bits = tiff_tag(image, BITS_PER_SAMPLE)
    colours = conversion_of(image)
    image.load()
    if image.mode in ("F", "I"):
        pixels = scaled_values(image, scales, inverted)
    elif image.mode.startswith("I;16"):
        pixels = sixteen_bit(image, 4095 if bits == 12 else 65535, inverted)
    elif image.mode == "CMYK":
        # Pillow takes every CMYK JPEG for an Adobe one, whose inks are stored inverted.
        plain = image.format == "JPEG" and "adobe" not in image.info
        inks = Image.fromarray(255 - np.asarray(image), "CMYK") if plain else image
        pixels, colours = np.asarray(colours.image(inks)), NONE
    else:
        pixels = eight_bit(image, data)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.ascontiguousarray(oriented(colours.apply(pixels), turn))


def eight_bit(image: Image.Image, data: bytes) -> NDArray[np.uint8]:
    """Pixels of every mode that Pillow holds in 8 bits or fewer."""
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("LAB", "HSV"):
        raise RejectedError(f"{mode} colours are not supported")
    if mode in ("1", "L"):
        grey = np.asarray(image.convert("L"))
        if isinstance(key, int):
            opaque = np.where(grey == key * 255 // largest_key(image, data), 0, 255)
            return np.stack([grey, opaque.astype(np.uint8)], axis=-1)
        return grey
    if mode == "RGB" and key is not None and image.format == "PNG" and png_depth(data) == 16:
        raise RejectedError("16-bit colour with a transparent colour is not supported")
    if mode == "La":
        return np.asarray(image.convert("LA"))
    if mode == "LA":
        return np.asarray(image)
    return np.asarray(image.convert("RGBA" if has_alpha(image) else "RGB"))


def largest_key(image: Image.Image, data: bytes) -> int:
    """Largest value of a PNG's transparent grey, which is stored at the file's own bit depth.

    Pillow brings 1-bit keys to 0..255 by itself, but not those of 2 and 4 bits.
    """
    depth = png_depth(data) if image.format == "PNG" else 8
    return 2**depth - 1 if depth in (2, 4) else 255


def png_depth(data: bytes) -> int:
    """Bits per sample, from a PNG's header."""
    return data[24]


def sixteen_bit(image: Image.Image, top: int, inverted: bool) -> NDArray[np.uint8]:
    """16-bit (or 12-bit) grey as ``round(v * 255 / top)``, with alpha where it has a colour key."""
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + top // 2) // top).clip(max=255).astype(np.uint8)
    if inverted:
        grey = 255 - grey
    key = image.info.get("transparency")
    if isinstance(key, int):
        return np.stack([grey, np.where(values == key, 0, 255).astype(np.uint8)], axis=-1)
    return grey


def scaled_values(image: Image.Image, scales: Scales, inverted: bool) -> NDArray[np.uint8]:
    """Float and 32-bit integer images on their scale; a 16-bit PGM is 16-bit grey."""
    if image.format in ("PNG", "PPM"):
        return sixteen_bit(image, 65535, inverted=False)
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise RejectedError("holds values that are not finite")
    own = float(values.min()), float(values.max())
    scale = UNIT if is_unit(image.mode, own) else scales.get(image.mode) or Scale.of(*own)
    unit = (values - scale.low) / (scale.high - scale.low or 1.0)
    if inverted:
        unit = 1 - unit
    return np.round(unit * 255).clip(0, 255).astype(np.uint8)


def oriented(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Apply EXIF orientation ``turn``, 1 to 8 (CIPA DC-008, tag 274)."""
    if turn >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none that makes sense."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    # Damaged EXIF beside sound pixels: there is no orientation to apply.
    except Exception:
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def channels_of(image: Image.Image) -> int:
    """Most channels that the image may need, from its header."""
    grey = image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")
    return (1 if grey else 3) + has_alpha(image)


def has_alpha(image: Image.Image) -> bool:
    """Whether the header announces transparency."""
    return "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")


def extremes(image: Image.Image) -> tuple[float, float] | None:
    """Smallest and largest value of a float or 32-bit integer image; None for all others."""
    if image.mode not in ("F", "I") or image.format in ("PNG", "PPM"):
        return None
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise RejectedError("holds values that are not finite")
    return float(values.min()), float(values.max())


def tiff_tag(image: Image.Image, tag: int) -> int | None:
    """First value of a TIFF tag, None for other formats."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    value = None if tags is None else tags.get(tag)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return value if isinstance(value, int) else None


def too_large(width: int, height: int) -> str:
    """The reason given for a bomb."""
    return f"{width} x {height} pixels: more than {MOST_PIXELS}, not decoded"


def reason(error: Exception, data: bytes) -> str:
    """Say in one line why a decoder failed on ``data``."""
    if isinstance(error, Image.UnidentifiedImageError):
        return unread_content(data) or "not an image of a known format"
    if isinstance(error, Bomb):
        return f"more than {MOST_PIXELS} pixels: not decoded"
    if isinstance(error, MemoryError):
        return "does not fit in memory"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"damaged: {text}"
