"""Resizing: where things land, no aliasing, no bleeding of invisible colour."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.data.geometry import default_size, fitted


def ramp(height: int, width: int) -> np.ndarray:
    """A horizontal and a vertical ramp in two colours."""
    y, x = np.indices((height, width))
    return np.stack([x * 255 / width, y * 255 / height, 0 * x], -1).astype(np.uint8)


def test_what_fits_is_untouched() -> None:
    pixels = ramp(10, 20)
    assert fitted(pixels, (10, 20), "crop") is pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 9), (64, 32)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_every_shape_reaches_the_size(channels: int, shape: tuple[int, int], fit: str) -> None:
    pixels = np.full((*shape, channels), 200, np.uint8)
    found = fitted(pixels, (16, 24), "crop" if fit == "crop" else "pad")
    assert found.shape == (16, 24, channels)
    # A constant stays one, with nothing but emptiness around it where it is padded.
    assert set(np.unique(found)) <= ({200} if fit == "crop" else {0, 200})
    assert (found == 200).any()


def test_crop_takes_the_middle() -> None:
    found = fitted(ramp(32, 128), (16, 16), "crop").astype(int)
    # The middle quarter of the width: from 3/8 to 5/8 of the ramp; the height is complete.
    assert abs(found[8, 0, 0] - 255 * 3 / 8) < 6 and abs(found[8, -1, 0] - 255 * 5 / 8) < 6
    assert found[0, 8, 1] < 12 and found[-1, 8, 1] > 240


def test_pad_keeps_everything_in_the_middle() -> None:
    found = fitted(np.full((16, 64, 3), 200, np.uint8), (32, 32), "pad")
    assert (found[12:20] == 200).all()
    assert (found[:12] == 0).all() and (found[20:] == 0).all()


def test_shrinking_is_antialiased() -> None:
    # Single-pixel stripes average out; picking every fourth pixel would give 0 or 255.
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
    found = fitted(stripes, (16, 16), "crop")
    assert np.abs(found[:, 1:-1].astype(int) - 127).max() < 20
    assert set(np.unique(stripes[::4, ::4])) == {0}


def test_invisible_colour_does_not_bleed() -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., 0] = 255  # red everywhere ...
    pixels[:, 16:] = (0, 255, 0, 255)  # ... but only green can be seen
    found = fitted(pixels, (10, 10), "crop")
    seen = found[found[..., 3] > 8]
    assert len(seen) and seen[:, 0].max() <= 8 and seen[:, 1].min() >= 240


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({(96, 96): 100}, (96, 96)),
        ({(20, 30): 95, (40, 40): 5}, (20, 30)),
        ({(96, 96): 80, (100, 90): 20}, (96, 96)),
        ({(480, 640): 1}, (256, 256)),
        ({(50, 300): 1, (60, 100): 1, (70, 70): 1}, (32, 32)),
        ({(5, 6): 1, (6, 5): 1, (3, 9): 1}, (5, 5)),
        ({(1, 1): 1, (1, 2): 1}, (1, 1)),
    ],
)
def test_default_size(sizes: dict[tuple[int, int], int], expected: tuple[int, int]) -> None:
    assert default_size(sizes) == expected
