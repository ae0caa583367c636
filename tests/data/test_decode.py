"""Right pixels for every kind of image, against encoders of our own (see ``zoo``)."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data import zoo

from undrift.data.channels import widened
from undrift.data.decode import (
    MOST_PIXELS,
    RejectedError,
    Scale,
    common_scales,
    decode,
    examine,
    strict_warnings,
)

GOOD = zoo.good_files()
BAD = zoo.bad_files()


def decoded(data: bytes) -> np.ndarray:
    with strict_warnings():
        return decode(data, common_scales([examine(data)]))


@pytest.mark.parametrize("name", GOOD)
def test_pixels_are_right(name: str) -> None:
    data, expected = GOOD[name]
    expected = expected if expected.ndim == 3 else expected[..., None]
    found = decoded(data)
    assert found.dtype == np.uint8
    # A palette of greys and 16-bit grey with alpha are handed over as colour.
    assert found.shape[-1] in (expected.shape[-1], 3, 4)
    assert found.shape[-1] % 2 == expected.shape[-1] % 2
    expected = widened(expected, found.shape[-1])
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert examine(data).channels >= found.shape[-1]
    assert examine(data).size == (zoo.SIDE, zoo.SIDE)


@pytest.mark.parametrize(
    "name", ["grey16.png", "float_unit.tif", "grey2_key.png", "exif_turned.jpg"]
)
def test_what_plain_pillow_gives_would_not_pass(name: str) -> None:
    # Negative control: the naive reader fails on the very files that it is known to spoil.
    data, expected = GOOD[name]
    expected = expected if expected.ndim == 3 else expected[..., None]
    with Image.open(io.BytesIO(data)) as image:
        naive = np.asarray(image.convert("LA" if expected.shape[-1] == 2 else "L"))
    naive = naive if naive.ndim == 3 else naive[..., None]
    assert np.abs(naive.astype(int) - expected).max() > 50


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_rejected_with_a_reason(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(RejectedError, match=reason):
        decoded(data)


@pytest.mark.parametrize("name", ["bomb.png"])
def test_bombs_are_refused_by_their_header(name: str) -> None:
    # examine() alone refuses, so nothing is ever decoded.
    with strict_warnings(), pytest.raises(RejectedError, match="pixels"):
        examine(BAD[name][0])


def test_pixel_limit_holds_without_pillows_warning() -> None:
    wide = zoo.png_of_rows(MOST_PIXELS + 1, 1, 8, 0, b"")
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(RejectedError, match="more than"),
    ):
        # Filters of the caller show the warning; the limit is our own.
        examine(wide)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int) -> None:
    pixels = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24, 1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = zoo.pillow(pixels, "PNG", exif=exif.tobytes())
    expected = zoo.turned(pixels, orientation)
    assert np.array_equal(decoded(data), expected)
    assert examine(data).size == expected.shape[:2]
    assert examine(data).rotated == (orientation > 1)
    turned = zoo.tiff(pixels[..., 0], 8, orientation=orientation)
    assert np.array_equal(decoded(turned), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_agree_with_tifffile(dtype: str, compression: str | None) -> None:
    rng = np.random.default_rng(3)
    values = (rng.random((20, 30)) * 200).astype(dtype)
    if dtype == "uint16":
        values *= 300
    if dtype.startswith("float"):
        values = values * 50 - 300
    file = io.BytesIO()
    tifffile.imwrite(file, values, compression=compression, photometric="minisblack")
    truth = tifffile.imread(io.BytesIO(file.getvalue())).astype(np.float64)
    if dtype.startswith("float"):
        truth = (truth - truth.min()) / (truth.max() - truth.min()) * 255
    if dtype == "uint16":
        truth = truth * 255 / 65535
    try:
        found = decoded(file.getvalue())
    except RejectedError:
        # Pillow has no reader for some kinds (float64 with a predictor); rejected is not wrong.
        assert dtype == "float64"
        return
    assert np.abs(found[..., 0] - truth).max() <= 1


def test_colour_tiffs_agree_with_tifffile() -> None:
    rng = np.random.default_rng(4)
    for values in (
        rng.integers(0, 256, (20, 30, 3), np.uint8),
        rng.integers(0, 65536, (20, 30, 3)).astype(np.uint16),
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, values, photometric="rgb")
        truth = values.astype(np.float64) * 255 / np.iinfo(values.dtype).max
        assert np.abs(decoded(file.getvalue()) - truth).max() <= 1


def test_one_scale_serves_the_whole_data_set() -> None:
    bright = zoo.tiff(np.full((8, 8), 1000, np.float32), 32, sample_format=3)
    dark = zoo.tiff(np.full((8, 8), -200, np.float32), 32, sample_format=3)
    unit = zoo.tiff(np.full((8, 8), 0.5, np.float32), 32, sample_format=3)
    scales = common_scales([examine(data) for data in (bright, dark, unit)])
    assert scales == {"F": Scale(-200.0, 1000.0)}
    assert [int(decode(data, scales)[0, 0, 0]) for data in (bright, dark, unit)] == [255, 0, 128]


def test_headers_tell_frames() -> None:
    assert examine(GOOD["animated.gif"][0]).animated
    assert examine(GOOD["pages.tif"][0]).animated
    assert not examine(GOOD["grey8.png"][0]).animated


def test_sixteen_bit_colour_with_a_key_is_rejected() -> None:
    # Pillow compares the 16-bit key with 8-bit pixels, so no pixel would be transparent.
    values = np.zeros((4, 4, 3), ">u2")
    data = zoo.png(values, 16, 2, tRNS=bytes(6))
    with pytest.raises(RejectedError, match="transparent colour"):
        decoded(data)


def test_mutated_files_decode_or_are_rejected() -> None:
    rng = np.random.default_rng(5)
    outcomes = {"decoded": 0, "rejected": 0}
    files = [data for data, _ in GOOD.values()]
    for _ in range(1500):
        data = bytearray(files[rng.integers(len(files))])
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.2:
            del data[rng.integers(len(data)) :]
        try:
            pixels = decoded(bytes(data))
        except RejectedError as error:
            assert "\n" not in str(error)
            outcomes["rejected"] += 1
        else:
            assert pixels.dtype == np.uint8 and pixels.ndim == 3
            outcomes["decoded"] += 1
    assert min(outcomes.values()) > 100
