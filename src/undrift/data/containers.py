"""The parts of an encoded image: those that carry pixels, and those beside them.

Texts, EXIF data and colour profiles can be damaged, or too large for a decoder's limits, while the
pixels are sound. They are then left out, and the pixels are read.
"""

from __future__ import annotations

import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS = 1_000_000

_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks of a PNG that decide its pixels."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TURNING = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""How a text chunk begins that may hold the orientation of the image."""

_LONGEST_TURNING = 2**18
"""Bytes of such a chunk; anything longer holds more than EXIF data of a photo."""

_TIFF_PIXELS = frozenset(
    (
        *range(254, 260),  # kinds of image, width, height, bits, compression
        *(262, 266, 273, 274, 277, 278, 279, 280, 281, 284),  # photometric to planar
        *(292, 293, 317, 320, 321, *range(322, 326)),  # fax options, predictor, palette, tiles
        *(332, 338, 339, 340, 341, 347, *range(512, 522), *range(529, 533)),  # inks, alpha, JPEG
    )
)
"""Tags of a TIFF that decide its pixels."""


class BrokenPixelsError(ValueError):
    """A part that carries pixels is damaged."""


def without_texts(data: bytes) -> tuple[bytes, bool]:
    """Return a PNG without texts and damaged parts beside the pixels; other formats as they are.

    Returns:
        The image, and whether something damaged was left out.

    Raises:
        BrokenPixelsError: a PNG whose pixels are damaged, by its checksums, or that ends early.
    """
    if not data.startswith(PNG):
        return data, False
    kept: list[memoryview] = [memoryview(data)[: len(PNG)]]
    damaged = left_out = False
    for kind, chunk, sound in _chunks(data):
        if kind in _PNG_PIXELS and not sound:
            raise BrokenPixelsError(f"broken {kind.decode()} chunk")
        damaged |= not sound
        if sound and not (kind in _TEXTS and _is_text(chunk)):
            kept.append(chunk)
        else:
            left_out = True
    return b"".join(kept) if left_out else data, damaged


def pixels_only(data: bytes) -> bytes | None:
    """Return a PNG, JPEG or TIFF reduced to what decides its pixels; None where that is not known.

    Its orientation and colour profile are left out with the rest, but for a TIFF's orientation.
    """
    if data.startswith(PNG):
        chunks = [chunk for kind, chunk, _ in _chunks(data) if kind in _PNG_PIXELS]
        return b"".join([PNG, *chunks])
    if data.startswith(b"\xff\xd8"):
        return _jpeg_pixels(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_pixels(data)
    return None


def _chunks(data: bytes) -> list[tuple[bytes, memoryview, bool]]:
    """Return (kind, whole chunk, checksum is right) of each of a PNG's chunks up to its end."""
    view = memoryview(data)
    found: list[tuple[bytes, memoryview, bool]] = []
    at = len(PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data) or len(found) >= MOST_CHUNKS:
            break
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        kind = data[at + 4 : at + 8]
        found.append((kind, view[at:end], zlib.crc32(view[at + 4 : end - 4]) == checksum))
        if kind == b"IEND":
            return found
        at = end
    raise BrokenPixelsError("the file ends early")


def _is_text(chunk: memoryview) -> bool:
    """Whether a text chunk is nothing but text."""
    return len(chunk) > _LONGEST_TURNING or not bytes(chunk[8:40]).startswith(_TURNING)


def _jpeg_pixels(data: bytes) -> bytes | None:
    """Leave out a JPEG's comments and application segments, but JFIF's and Adobe's."""
    kept = [data[:2]]
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:  # the scan; all that follows are pixels
            return b"".join([*kept, data[at:]])
        if marker == 0xFF:  # padding
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    return None


def _tiff_pixels(data: bytes) -> bytes | None:
    """Blank the tags of a TIFF's first image that do not decide its pixels."""
    order = "<" if data[:2] == b"II" else ">"
    made = bytearray(data)
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            (tag,) = struct.unpack_from(order + "H", data, entry)
            if tag not in _TIFF_PIXELS:
                # One byte of value 0, held in the entry itself.
                struct.pack_into(order + "HHII", made, entry, tag, 1, 1, 0)
    except struct.error:
        return None
    return bytes(made)
