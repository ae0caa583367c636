"""Colour profiles against the formulas of sRGB; what has none, or sRGB's own, keeps its bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.data import icc, zoo

from undrift.data import load
from undrift.data.decode import decode, examine
from undrift.data.profiles import conversion

P3 = icc.rgb_profile(icc.DISPLAY_P3, None)
ADOBE = icc.rgb_profile(icc.ADOBE, 563 / 256)
SRGBS = {
    "lcms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "ours": icc.rgb_profile(icc.SRGB, None),
}


def tagged(pixels: np.ndarray, profile: bytes | None, format: str = "PNG") -> bytes:
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    if format == "WEBP":
        options = {"lossless": True, "exact": True}
    return zoo.pillow(pixels, format, icc_profile=profile, **options)


def wanted(pixels: np.ndarray, colorants: tuple, gamma: float | None) -> np.ndarray:
    """By the formulas: light, XYZ, light of sRGB's primaries, sRGB's curve."""
    unit = pixels / 255
    light = icc.linear_of(unit) if gamma is None else unit**gamma
    to_srgb = np.linalg.inv(np.array(icc.SRGB).T) @ np.array(colorants).T
    return np.round(icc.encoded_of((light @ to_srgb.T).clip(0, 1)) * 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize(
    ("profile", "colorants", "gamma"),
    [(P3, icc.DISPLAY_P3, None), (ADOBE, icc.ADOBE, 563 / 256)],
)
def test_colours_become_srgb(
    format: str, profile: bytes, colorants: tuple, gamma: float | None
) -> None:
    pixels = zoo.blocks(3, 5) if format == "JPEG" else zoo.picture(3, 5)
    data = tagged(pixels, profile, format)
    found = decode(data, {}).astype(int)
    # Dark values have a steep curve, so 8 bits of them are uncertain.
    assert np.abs(found - wanted(pixels, colorants, gamma))[pixels.min(-1) > 30].max() <= 3
    assert np.abs(found - pixels).max() > 20  # negative control: something was to be done
    assert examine(data).profiled and not examine(data).remarks


def test_one_green_is_one_green_whatever_its_profile() -> None:
    green = np.full((8, 8, 3), (115, 199, 56), np.uint8)
    found = decode(tagged(green, ADOBE), {})
    assert np.abs(found[0, 0].astype(int) - (29, 200, 29)).max() <= 3


@pytest.mark.parametrize("profile", SRGBS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_srgb_keeps_its_bits(profile: str, channels: int) -> None:
    pixels = zoo.picture(channels, 7)
    data = tagged(pixels, SRGBS[profile])
    assert np.array_equal(decode(data, {}), pixels)
    assert not examine(data).profiled and not examine(data).remarks


def test_alpha_palette_and_orientation_go_with_it() -> None:
    pixels = zoo.picture(4, 8)
    found = decode(tagged(pixels, P3), {})
    assert np.array_equal(found[..., 3], pixels[..., 3])
    assert np.array_equal(found[..., :3], decode(tagged(pixels[..., :3], P3), {}))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = zoo.pillow(pixels[..., :3], "PNG", icc_profile=P3, exif=exif.tobytes())
    assert np.array_equal(decode(turned, {}), zoo.turned(found[..., :3], 6))
    file = io.BytesIO()
    image = Image.fromarray(zoo.blocks(3, 9)).quantize(16)
    image.save(file, "PNG", icc_profile=P3)
    plain = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode(file.getvalue(), {}), decode(tagged(plain, P3), {}))


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_profiles(bits: int) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(ramp if bits == 8 else ramp.astype(np.uint16) * 257)
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=icc.grey_profile(1.8))
    found = decode(file.getvalue(), {})
    assert found.shape == (16, 16, 1)
    by_formula = np.round(icc.encoded_of((ramp / 255) ** 1.8) * 255)
    assert np.abs(found[..., 0] - by_formula).max() <= 1
    assert examine(file.getvalue()).profiled


def test_grey_pixels_of_a_colour_profile_stay_grey() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    found = decode(tagged(ramp, ADOBE), {})
    assert found.shape == (16, 16, 1) and found[0, 0] == 0 and found[-1, -1] == 255
    by_formula = np.round(icc.encoded_of((ramp / 255) ** (563 / 256)) * 255)
    assert np.abs(found.astype(int) - by_formula).max() <= 1


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        (b"a profile", "damaged"),
        (P3[: len(P3) // 2], "damaged"),
        (P3[:200] + bytes(len(P3) - 200), "damaged"),
        (icc.grey_profile(2.2), "for GRAY pixels, the image is RGB"),
    ],
)
def test_a_profile_that_cannot_be_applied_leaves_the_pixels_and_a_reason(
    profile: bytes, problem: str
) -> None:
    pixels = zoo.picture(3, 11)
    data = tagged(pixels, profile)
    assert np.array_equal(decode(data, {}), pixels)
    assert examine(data).remarks == (f"a colour profile that is not applied: {problem}",)


@pytest.mark.parametrize("kind", ["JPEG of Adobe", "JPEG", "TIFF"])
def test_inks_of_a_profile(kind: str) -> None:
    """Whichever way round the file stores them, ink darkens, and as much as the profile says."""
    inks = np.zeros((8, 40, 4), np.uint8)
    inks[:, 8:16, 3] = 255  # black
    inks[:, 16:24, 0] = 255  # cyan, which is grey in this profile
    inks[:, 24:32, :3] = 255
    inks[:, 32:, 3] = 128
    profile = icc.ink_profile()
    if kind == "TIFF":
        data = zoo.pillow(inks, "TIFF", mode="CMYK", icc_profile=profile)
    else:
        options = {"mode": "CMYK", "quality": 100, "subsampling": 0, "icc_profile": profile}
        adobe = kind == "JPEG of Adobe"
        # A file without the marker holds the inks as they are; Pillow writes them inverted.
        data = zoo.pillow(inks if adobe else 255 - inks, "JPEG", **options)
        data = data if adobe else zoo.without_adobe(data)
    assert examine(data).profiled
    lightness = np.array([100, 0, 100 * 2 / 3, 0, 100 * 127 / 255])
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    wanted = np.round(icc.encoded_of(light) * 255)
    assert np.abs(decode(data, {})[4, 4::8].astype(int) - wanted[:, None]).max() <= 4
    # Negative control: without the profile cyan is cyan.
    plain = decode(zoo.pillow(inks, "TIFF", mode="CMYK"), {})
    assert plain[4, 20].tolist() == [0, 255, 255]


def test_inks_without_a_usable_profile_are_as_before() -> None:
    inks = zoo.blocks(4, 61)
    plain = zoo.pillow(inks, "JPEG", mode="CMYK", quality=100, subsampling=0)
    wrong = zoo.pillow(inks, "JPEG", mode="CMYK", quality=100, subsampling=0, icc_profile=P3)
    assert np.array_equal(decode(plain, {}), decode(wrong, {}))
    assert "for RGB pixels, the image is CMYK" in examine(wrong).remarks[0]


def test_mutated_profiles_never_cost_the_image() -> None:
    rng = np.random.default_rng(3)
    pixels = zoo.picture(3, 12)
    for _ in range(150):
        broken = bytearray(P3 if rng.random() < 0.5 else ADOBE)
        for _ in range(rng.integers(1, 6)):
            broken[rng.integers(len(broken))] = rng.integers(256)
        made = conversion(bytes(broken), "RGB")
        assert made.apply(pixels).shape == pixels.shape
        assert made.changes or made.problem is None or "\n" not in made.problem


def test_the_report_counts_what_was_done(tmp_path: Path) -> None:
    for i, profile in enumerate((P3, P3, SRGBS["ours"], b"junk", None)):
        (tmp_path / f"{i}.png").write_bytes(tagged(zoo.picture(3, i), profile))
    report = load(tmp_path).report
    assert report.profiled == 2
    assert "2 images converted from a colour profile to sRGB" in report.notes
    assert "1 image with a colour profile that is not applied: damaged" in report.notes
