"""Damage beside the pixels costs nothing; damage to the pixels costs the image."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from tests.data import zoo

from undrift.data import load
from undrift.data.decode import RejectedError, decode, examine

PIXELS = zoo.picture(3, seed=1)
PLAIN = zoo.png(PIXELS, 8, 2)
LARGE = b"a" * 3_000_000


def with_chunk(kind: bytes, data: bytes, before: bool, sound: bool = True) -> bytes:
    """The picture with one more chunk before or behind its pixels."""
    at = PLAIN.index(b"IDAT" if before else b"IEND") - 4
    checksum = zlib.crc32(kind + data) ^ (not sound)
    return (
        PLAIN[:at]
        + struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", checksum)
        + PLAIN[at:]
    )


BESIDE = {
    "large zTXt": (b"zTXt", b"k\0\0" + zlib.compress(LARGE), True),
    "large iTXt": (b"iTXt", b"k\0\1\0\0\0" + zlib.compress(LARGE), True),
    "large tEXt": (b"tEXt", b"k\0" + bytes(70_000_000), True),
    "checksum of tEXt": (b"tEXt", b"parameters\0a cat", False),
    "unknown chunk": (b"prVt", b"", False),
    "checksum of eXIf": (b"eXIf", b"MM\0*", False),
    "eXIf of nonsense": (b"eXIf", b"nonsense", True),
    "short pHYs": (b"pHYs", b"k", True),
    "short cHRM": (b"cHRM", b"k", True),
    "short gAMA": (b"gAMA", b"", True),
    "short acTL": (b"acTL", b"x", True),
    "iCCP of nonsense": (b"iCCP", b"k\0\0nonsense", True),
    "orientation of nonsense": (b"tEXt", b"Raw profile type exif\0nonsense", True),
    "large orientation": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(LARGE), True),
}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", BESIDE)
def test_chunks_beside_the_pixels(name: str, before: bool) -> None:
    kind, content, sound = BESIDE[name]
    data = with_chunk(kind, content, before, sound)
    assert np.array_equal(decode(data, {}), PIXELS)
    header = examine(data)
    assert header.size == (32, 32)
    assert sound or header.remarks == ("damaged metadata, which is left out",)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS"])
def test_chunks_that_decide_the_pixels(kind: bytes) -> None:
    colours = bytes(range(256)) * 3
    index = zoo.picture(1, 2)
    data = zoo.png(index, 8, 3, PLTE=colours, tRNS=bytes([7] * 256))
    assert examine(data).size == (32, 32)
    at = data.index(kind)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    broken = bytearray(data)
    broken[at + 4 + length] ^= 1
    with pytest.raises(RejectedError, match=f"broken {kind.decode()} chunk"):
        examine(bytes(broken))
    with pytest.raises(RejectedError, match="ends early"):
        examine(data[: at + 4])


def test_an_orientation_in_a_text_still_counts() -> None:
    """ImageMagick writes EXIF data into a text chunk, Adobe's tools XMP."""
    xmp = b'<x:xmpmeta xmlns:tiff="t" tiff:Orientation="6"/>'
    data = with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp, before=True)
    assert examine(data).rotated
    assert np.array_equal(decode(data, {}), zoo.turned(PIXELS, 6))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0"],
)
def test_damaged_exif_data(format: str, exif: bytes) -> None:
    data = zoo.pillow(PIXELS, format, exif=exif)
    found = decode(data, {})
    assert np.array_equal(found, decode(zoo.pillow(PIXELS, format), {}))
    assert not examine(data).rotated


def test_a_jpeg_whose_segments_stop_the_decoder_is_read_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = zoo.pillow(PIXELS, "JPEG", quality=95)
    segment = b"\xff\xe2" + struct.pack(">H", 14) + b"MPF\0nonsense"
    data = plain[:2] + segment + plain[2:]
    opened = Image.open

    def refusing(file: io.BytesIO, **options: object) -> Image.Image:
        if b"nonsense" in file.getvalue():
            raise KeyError("a tag")
        return opened(file, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Image, "open", refusing)
    assert np.array_equal(decode(data, {}), decode(plain, {}))
    assert examine(data).remarks == ("damaged metadata, which is left out",)


def tagged_tiff(compression: str | None) -> bytearray:
    file = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[305], tags[700] = "a long description", "software", b"<xmp/>"
    Image.fromarray(PIXELS).save(file, "TIFF", tiffinfo=tags, compression=compression)
    return bytearray(file.getvalue())


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
@pytest.mark.parametrize("tag", [270, 305, 700])
def test_damaged_tags_of_a_tiff(compression: str | None, tag: int) -> None:
    data = tagged_tiff(compression)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    at = next(e for e in entries if struct.unpack_from("<H", data, e) == (tag,))
    _, kind, values, offset = struct.unpack_from("<HHII", data, at)
    for damage in (
        (tag, 99, values, offset),
        (tag, 3, values, offset),
        (tag, kind, 2**31 - 1, offset),
        (tag, kind, values, 2**31 - 1),
    ):
        struct.pack_into("<HHII", data, at, *damage)
        assert np.array_equal(decode(bytes(data), {}), PIXELS)
        assert examine(bytes(data)).size == (32, 32)


def test_the_report_counts_them(tmp_path: Path) -> None:
    for i in range(3):
        data = zoo.png(zoo.picture(3, i), 8, 2)
        at = data.index(b"IDAT") - 4
        chunk = struct.pack(">I", 3) + b"tEXtk\0v" + bytes(4)
        (tmp_path / f"{i}.png").write_bytes(data[:at] + chunk + data[at:] if i else data)
    found = load(tmp_path)
    assert len(found) == 3 and not found.report.set_aside
    assert "2 images with damaged metadata, which is left out" in found.report.notes
