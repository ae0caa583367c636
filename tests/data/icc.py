"""ICC profiles of matrix and grey kind, written from the specification (ICC.1:2001-04)."""

from __future__ import annotations

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
"""Colorants of red, green and blue in XYZ, adapted to D50."""


def rgb_profile(colorants: tuple[tuple[float, float, float], ...], gamma: float | None) -> bytes:
    """A display profile; ``gamma`` None is sRGB's own curve."""
    tags = {b"wtpt": xyz(D50)}
    for name, colorant in zip(b"rgb", colorants, strict=True):
        tags[bytes([name]) + b"XYZ"] = xyz(colorant)
        tags[bytes([name]) + b"TRC"] = curve(gamma)
    return profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey values."""
    return profile(b"GRAY", {b"wtpt": xyz(D50), b"kTRC": curve(gamma)})


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    encoded = np.linspace(0, 1, 1024)
    linear = np.round(linear_of(encoded) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + linear.tobytes()


def linear_of(encoded: np.ndarray) -> np.ndarray:
    """sRGB's curve: light from values in 0..1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded_of(linear: np.ndarray) -> np.ndarray:
    """Its inverse."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def ink_profile() -> bytes:
    """A printer's profile whose inks are all grey: C, M and Y take a third of the light each.

    Its table (lut8Type) gives L* = 100 (1 - K) (1 - (C + M + Y) / 3) at the 16 corners.
    """
    straight = bytes(range(256))
    corners = bytearray()
    for corner in range(16):
        c, m, y, k = (corner >> 3) & 1, (corner >> 2) & 1, (corner >> 1) & 1, corner & 1
        corners += bytes([round(255 * (1 - k) * (1 - (c + m + y) / 3)), 128, 128])
    matrix = b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + straight * 4 + corners + straight * 3
    return profile(b"CMYK", {b"wtpt": xyz(D50), b"A2B0": table}, b"prtr", b"Lab ")


def profile(
    space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", between: bytes = b"XYZ "
) -> bytes:
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", **tags}
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, kind, space, between)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += b"".join(struct.pack(">i", round(v * 65536)) for v in D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
