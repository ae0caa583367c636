"""Ways to damage bytes that know nothing of their format.

Here as in the other modules of damage, every function draws all of its choices from a
`random.Random` that it is given.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from random import Random

SIZES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damaged(data: bytes, draw: Random) -> bytes:
    """One to three kinds of damage that know nothing of the format."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice(BYTES)(data, draw)
    return data


def _flipped(data: bytes, draw: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: Random) -> bytes:
    places = (0, 1, 4, 8, 16, len(data) // 2, len(data) - 1, draw.randrange(len(data) + 1))
    return data[: max(0, draw.choice(places))]


def _beheaded(data: bytes, draw: Random) -> bytes:
    return data[draw.choice((1, 4, 8, len(data) // 2)) :]


def _inserted(data: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    length = draw.choice((1, 4, 100, 5000))
    more = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length), b"\n" * length))
    return data[:at] + more + data[at:]


def _doubled(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    stop = draw.randrange(start, len(data) + 1)
    return data[:stop] + data[start:]


def _lost(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    stop = min(len(data), start + draw.choice((1, 4, 16, 1000)))
    return data[:start] + data[stop:]


def _blanked(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    stop = min(len(data), start + draw.choice((4, 16, 512)))
    return data[:start] + bytes(stop - start) + data[stop:]


def _resized(data: bytes, draw: Random) -> bytes:
    """Overwrite a few bytes, most likely near the start, with what could be a length."""
    code = draw.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(code)
    if len(data) < width:
        return b""
    last = len(data) - width
    at = draw.randrange(min(last, draw.choice((16, 64, 256, last))) + 1)
    value = draw.choice(SIZES) % 2 ** (8 * width)
    return data[:at] + struct.pack(code, value) + data[at + width :]


def _renumbered(data: bytes, draw: Random) -> bytes:
    """Another number where digits stand."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:100_000]))
    if not found:
        return _flipped(data, draw)
    one = draw.choice(found)
    number = draw.choice((b"0", b"-1", b"1e999", b"nan", b"9" * 5000, b"4294967296", b"", b"1_0"))
    return data[: one.start()] + number + data[one.end() :]


def _other(data: bytes, draw: Random) -> bytes:
    """Something else altogether."""
    return draw.choice(
        (
            b"",
            b"\n",
            b"\xef\xbb\xbf" + data,
            b"\xff\xfe" + data,
            b"PK\x03\x04",
            b"\x1f\x8b\x08\x00",
            b"\x89PNG\r\n\x1a\n",
            b"\x93NUMPY\x01\x00",
            b"GIF89a",
            b"null",
            b"{}",
            b"[]",
            b'"x"',
            b"0",
            bytes(10_000),
            draw.randbytes(3000),
        )
    )


BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flipped, _flipped, _cut, _cut, _beheaded, _inserted, _doubled, _lost, _blanked,
    _resized, _resized, _renumbered, _other,
)  # fmt: skip
