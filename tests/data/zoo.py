"""A folder with one image of every awkward kind, and what its pixels have to be.

The encoders for PNG, TIFF and the rest are written here from the formats' specifications, so that
what is expected never passes through the decoder under test.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
ORIENTATION_6 = 6


@dataclass(frozen=True)
class Zoo:
    """What was put into the folder.

    Attributes:
        good: name -> right pixels, uint8 (32, 32, C), C = 1, 2, 3, 4 as the file has it.
        bad: name -> a part of the reason why it has to be set aside.
        ignored: files that are no candidates.
        fillers: ordinary images beside them, so that the bad ones stay below the limit.
    """

    good: dict[str, NDArray[np.uint8]]
    bad: dict[str, str]
    ignored: int
    fillers: int

    @property
    def usable(self) -> int:
        """How many images a loader has to find."""
        return len(self.good) + self.fillers


def build_zoo(path: Path, fillers: int = 0, links: bool = True) -> Zoo:
    """Fill the new folder ``path``.

    Args:
        path: made if missing; ``path``'s parent receives the target of a link that leaves it.
        fillers: ordinary 32x32 images to add; 400 keep the bad ones below 5 %.
        links: add what only a file system has: a pipe, links, a name that is not UTF-8.
    """
    path.mkdir(parents=True, exist_ok=True)
    good: dict[str, NDArray[np.uint8]] = {}
    for name, (data, pixels) in good_files().items():
        (path / name).write_bytes(data)
        good[name] = pixels if pixels.ndim == 3 else pixels[..., None]
    bad: dict[str, str] = {}
    for name, (data, reason) in bad_files().items():
        (path / name).write_bytes(data)
        bad[name] = reason
    (path / "notes.txt").write_text("not an image")
    (path / ".hidden.png").write_bytes(b"")
    if links:
        pixels = picture(1, seed=90)
        odd = os.fsdecode(b"caf\xe9.png")
        (path / odd).write_bytes(png(pixels, 8, 0))
        good[r"caf\xe9.png"] = pixels
        os.mkfifo(path / "pipe.png")
        bad["pipe.png"] = "not a regular file"
        outside = path.parent / f"{path.name}-outside.png"
        outside.write_bytes(png(pixels, 8, 0))
        (path / "escape.png").symlink_to(outside)
        bad["escape.png"] = "leaves the folder"
        (path / "dangling.png").symlink_to(path / "nowhere.png")
        bad["dangling.png"] = "cannot be read"
    for i in range(fillers):
        (path / f"filler{i:04d}.png").write_bytes(png(picture(3, seed=1000 + i), 8, 2))
    return Zoo(good, bad, ignored=2, fillers=fillers)


def good_files() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """Return name -> (encoded, right pixels) of every kind that must be read."""
    files: dict[str, tuple[bytes, NDArray[np.uint8]]] = {}
    grey, rgb, rgba, la = (picture(c, seed=c) for c in (1, 3, 4, 2))
    files["grey8.png"] = png(grey, 8, 0), grey
    files["rgb8.png"] = png(rgb, 8, 2), rgb
    files["rgba8.png"] = png(rgba, 8, 6), rgba
    files["la8.png"] = png(la, 8, 4), la
    for bits in (1, 2, 4):
        values = picture(1, seed=10 + bits) % (2**bits)
        files[f"grey{bits}.png"] = png(values, bits, 0), values * (255 // (2**bits - 1))
        key = bytes([0, 1])
        alpha = np.where(values == 1, 0, 255).astype(np.uint8)
        keyed = np.concatenate([values * (255 // (2**bits - 1)), alpha], axis=-1)
        files[f"grey{bits}_key.png"] = png(values, bits, 0, tRNS=key), keyed
    files["grey8_key.png"] = keyed_grey(grey)
    keyed_rgb = np.where((np.indices((SIDE, SIDE)).sum(0) % 3 == 0)[..., None], rgb[:1, :1], rgb)
    alpha = np.where((keyed_rgb == rgb[0, 0]).all(-1), 0, 255).astype(np.uint8)[..., None]
    files["rgb8_key.png"] = (
        png(keyed_rgb, 8, 2, tRNS=b"".join(bytes([0, v]) for v in rgb[0, 0].tolist())),
        np.concatenate([keyed_rgb, alpha], axis=-1),
    )
    files.update(palettes())
    files.update(sixteen_bits())
    files.update(tiffs())
    files.update(photographs())
    files.update(several_frames())
    files["wrong_extension.jpg"] = png(rgb[::-1], 8, 2), rgb[::-1]
    files["UPPER.PNG"] = png(grey[::-1], 8, 0), grey[::-1]
    files["-dash name.png"] = png(grey[:, ::-1], 8, 0), grey[:, ::-1]
    files["smil🙂.png"] = png(rgb[:, ::-1], 8, 2), rgb[:, ::-1]
    files["truecolour.bmp"] = bmp(rgb.transpose(1, 0, 2)), rgb.transpose(1, 0, 2)
    turned = grey.transpose(1, 0, 2)
    files["plain.pgm"] = b"P5\n32 32\n255\n" + turned.tobytes(), turned
    return files


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return name -> (content, part of the reason) of everything that must be set aside."""
    sound = png(picture(3, seed=50), 8, 2)
    flipped = bytearray(sound)
    flipped[60] ^= 0x10
    jpeg = pillow(picture(3, seed=51), "JPEG", quality=95)
    gif = pillow(picture(1, seed=52), "GIF")
    nan = np.full((SIDE, SIDE), np.nan, np.float32)
    # 20,000 x 20,000 pixels of one bit in 49 kB: 1.2 GB once decoded to colours.
    bomb = png_of_rows(20_000, 20_000, 1, 0, zlib.compress(bytes(20_000 * 2501), 9))
    return {
        "zero_bytes.png": (b"", "empty"),
        "text.jpg": (b"this is a letter, not an image\n" * 20, "not an image"),
        "page.png": (b"<!doctype html><title>404</title>", "not an image"),
        "truncated.png": (sound[: len(sound) // 2], "damaged"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "truncated.gif": (gif[: len(gif) // 2], "damaged"),
        "bit_flip.png": (bytes(flipped), "damaged"),
        "header_only.png": (sound[:33], "ends early"),
        "bomb.png": (bomb, "pixels"),
        "not_finite.tif": (tiff(nan, 32, sample_format=3), "not finite"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    }


def picture(channels: int, seed: int) -> NDArray[np.uint8]:
    """Random pixels, uint8 (32, 32, channels), with both ends of the range in them."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, channels), np.uint8)
    pixels[0, 1], pixels[0, 2] = 0, 255
    return pixels


def blocks(channels: int, seed: int) -> NDArray[np.uint8]:
    """Flat 8x8 blocks, which JPEG at quality 100 keeps to one level."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), np.uint8)
    return colours.repeat(8, axis=0).repeat(8, axis=1)


def keyed_grey(grey: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
    """A PNG in which one grey value is transparent."""
    value = int(grey[5, 5, 0])
    alpha = np.where(grey == value, 0, 255).astype(np.uint8)
    return png(grey, 8, 0, tRNS=bytes([0, value])), np.concatenate([grey, alpha], axis=-1)


def palettes() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """Palette PNGs: plain, with several alphas, with one transparent entry, of 4 bits."""
    rng = np.random.default_rng(20)
    colours = rng.integers(0, 256, (256, 3), np.uint8)
    alphas = rng.integers(0, 256, 256, np.uint8)
    index = picture(1, seed=21)
    plte = colours.tobytes()
    one = np.full(256, 255, np.uint8)
    one[7] = 0
    coloured = colours[index[..., 0]]
    small = index % 16
    return {
        "palette.png": (png(index, 8, 3, PLTE=plte), coloured),
        "palette4.png": (png(small, 4, 3, PLTE=plte[:48]), colours[small[..., 0]]),
        "palette_alpha.png": (
            png(index, 8, 3, PLTE=plte, tRNS=alphas.tobytes()),
            np.concatenate([coloured, alphas[index]], axis=-1),
        ),
        "palette_key.png": (
            png(index, 8, 3, PLTE=plte, tRNS=one[:8].tobytes()),
            np.concatenate([coloured, one[index]], axis=-1),
        ),
    }


def sixteen_bits() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """16-bit PNGs of every kind, and a 16-bit PGM."""
    files: dict[str, tuple[bytes, NDArray[np.uint8]]] = {}
    for kind, channels, name in ((0, 1, "grey"), (2, 3, "rgb"), (4, 2, "la"), (6, 4, "rgba")):
        values = np.random.default_rng(30 + kind).integers(0, 65536, (SIDE, SIDE, channels))
        files[f"{name}16.png"] = png(values.astype(">u2"), 16, kind), eight(values)
    values = np.random.default_rng(39).integers(0, 65536, (SIDE, SIDE, 1))
    key = int(values[3, 3, 0])
    alpha = np.where(values == key, 0, 255).astype(np.uint8)
    files["grey16_key.png"] = (
        png(values.astype(">u2"), 16, 0, tRNS=struct.pack(">H", key)),
        np.concatenate([eight(values), alpha], axis=-1),
    )
    turned = values.transpose(1, 0, 2)
    files["grey16.pgm"] = b"P5\n32 32\n65535\n" + turned.astype(">u2").tobytes(), eight(turned)
    return files


def tiffs() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """TIFFs: float, 16-bit, white-is-zero, big-endian, turned."""
    rng = np.random.default_rng(40)
    unit = rng.random((SIDE, SIDE)).astype(np.float32)
    byte = (rng.random((SIDE, SIDE)) * 255).astype(np.float32)
    words = rng.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)
    twelve = rng.integers(0, 65536, (SIDE, SIDE)).astype(np.int32)
    twelve[0, :2] = 0, 65535
    grey = picture(1, seed=41)
    return {
        "float_unit.tif": (tiff(unit, 32, sample_format=3), nearest(unit * 255.0)),
        "float_byte.tif": (tiff(byte, 32, sample_format=3), nearest(byte)),
        "int32.tif": (tiff(twelve, 32, sample_format=2), eight(twelve)),
        "grey16.tif": (tiff(words, 16), eight(words)),
        "grey16_big_endian.tif": (tiff(words.T, 16, big=True), eight(words.T)),
        "white_is_zero8.tif": (tiff(grey[..., 0], 8, photometric=0), 255 - grey),
        "white_is_zero16.tif": (tiff(words[::-1], 16, photometric=0), 255 - eight(words[::-1])),
        "turned.tif": (
            tiff(grey[::-1, :, 0], 8, orientation=ORIENTATION_6),
            turned(grey[::-1], ORIENTATION_6),
        ),
    }


def photographs() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """JPEGs: grey, colour, CMYK with and without Adobe's inversion, turned by EXIF; a WebP."""
    grey, inks, rgb = blocks(1, 60), blocks(4, 61), picture(3, seed=62)
    adobe = pillow(inks, "JPEG", mode="CMYK", quality=100, subsampling=0)
    lit = 255.0 - inks[..., :3]
    printed = nearest(lit * (255.0 - inks[..., 3:]) / 255)
    exif = Image.Exif()
    exif[0x0112] = ORIENTATION_6
    # A file without the marker holds the inks as they are; Pillow wrote them inverted.
    plain = without_adobe(adobe)
    dark = 255.0 - lit
    uninverted = nearest(dark * inks[..., 3:] / 255)
    return {
        "grey.jpg": (pillow(grey, "JPEG", quality=100), grey),
        "cmyk_adobe.jpg": (adobe, printed),
        "cmyk_plain.jpg": (plain, uninverted),
        "exif_turned.jpg": (
            pillow(grey.transpose(1, 0, 2), "JPEG", quality=100, exif=exif.tobytes()),
            turned(grey.transpose(1, 0, 2), ORIENTATION_6),
        ),
        "lossless.webp": (pillow(rgb, "WEBP", lossless=True, exact=True), rgb),
    }


def several_frames() -> dict[str, tuple[bytes, NDArray[np.uint8]]]:
    """Animations and pages, of which the first counts."""
    first, second = picture(1, seed=70), picture(1, seed=71)
    files: dict[str, tuple[bytes, NDArray[np.uint8]]] = {}
    later = [Image.fromarray(second[..., 0])]
    for name, format, pixels in (
        ("animated.gif", "GIF", first),
        ("animated.png", "PNG", first[::-1]),
        ("pages.tif", "TIFF", first[:, ::-1]),
    ):
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(file, format, save_all=True, append_images=later)
        files[name] = file.getvalue(), pixels
    return files


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """What EXIF's orientation means, told by where row 0 and column 0 are shown (CIPA DC-008)."""
    shown: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: np.rot90(a, 2),
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    return shown[orientation](pixels)


def eight(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit values in 8 bits."""
    return nearest(np.asarray(values, np.float64) * 255 / 65535)


def nearest(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round to uint8."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def pillow(
    pixels: NDArray[np.uint8], format: str, mode: str | None = None, **options: object
) -> bytes:
    """Encode what only Pillow writes here: JPEG, WebP, GIF."""
    file = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, mode)
    image.save(file, format, **options)
    return file.getvalue()


def without_adobe(jpeg: bytes) -> bytes:
    """Cut the APP14 segment out of a JPEG."""
    at = jpeg.index(b"\xff\xee")
    (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
    return jpeg[:at] + jpeg[at + 2 + length :]


def png(values: NDArray[np.generic], bits: int, colour_type: int, **extra: bytes) -> bytes:
    """Encode (H, W, C) samples of ``bits`` as a PNG; every row uses another filter but Paeth's."""
    height, width, channels = values.shape
    packed = pack_rows(values, bits)
    step = max(1, channels * bits // 8)
    rows = [
        filtered(packed[y], packed[y - 1] if y else bytes(len(packed[y])), y % 3, step)
        for y in range(height)
    ]
    return png_of_rows(width, height, bits, colour_type, zlib.compress(b"".join(rows)), **extra)


def pack_rows(values: NDArray[np.generic], bits: int) -> list[bytes]:
    """Return each row's samples, most significant bit first."""
    if bits >= 8:
        return [row.tobytes() for row in values]
    digits = np.unpackbits(values.astype(np.uint8).reshape(len(values), -1, 1), axis=2)
    return [np.packbits(row[:, -bits:].reshape(-1)).tobytes() for row in digits]


def filtered(row: bytes, above: bytes, kind: int, step: int) -> bytes:
    """Apply PNG's filter None, Sub or Up, and name it."""
    now = np.frombuffer(row, np.uint8)
    left = np.concatenate([np.zeros(step, np.uint8), now[:-step]])
    before = (np.zeros_like(now), left, np.frombuffer(above, np.uint8))[kind]
    return bytes([kind]) + (now - before).tobytes()


def png_of_rows(
    width: int, height: int, bits: int, colour_type: int, compressed: bytes, **extra: bytes
) -> bytes:
    """Put compressed rows into a PNG, with chunks such as PLTE and tRNS."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = [("IHDR", header), *extra.items(), ("IDAT", compressed), ("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def png_chunk(kind: str, data: bytes) -> bytes:
    """One chunk: length, kind, data, checksum."""
    tagged = kind.encode() + data
    return struct.pack(">I", len(data)) + tagged + struct.pack(">I", zlib.crc32(tagged))


def tiff(
    values: NDArray[np.generic],
    bits: int,
    photometric: int = 1,
    sample_format: int = 1,
    orientation: int = 1,
    big: bool = False,
) -> bytes:
    """Encode (H, W) samples as an uncompressed TIFF of one strip (TIFF 6.0)."""
    order = ">" if big else "<"
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(274, orientation), (277, 1), (278, height), (279, len(data)), (339, sample_format)]
    entries = b"".join(
        struct.pack(order + "HHI", tag, 4, 1) + struct.pack(order + "I", value)
        if tag in (273, 279)
        else struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
        for tag, value in tags
    )
    head = (b"MM" if big else b"II") + struct.pack(order + "HI", 42, 8 + len(data))
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def bmp(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (32, 32, 3) as a BMP: rows from the bottom, blue first."""
    body = pixels[::-1, :, ::-1].tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + info + body
