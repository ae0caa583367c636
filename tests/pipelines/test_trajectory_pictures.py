"""The way from noise to images, as a strip and as a moving picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small

from undrift.errors import UsageError
from undrift.pipelines.grid import cloud_grid, image_grid
from undrift.pipelines.trajectory import moving_picture, strip_picture


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGB")])
def test_the_strip_runs_from_noise_to_the_images(channels, mode):
    samples = small(channels=channels)(3, steps=25, trajectory=2)
    picture = strip_picture(samples)
    assert picture.mode == mode
    sheet = image_grid(samples.images[:1])  # one tile and its margins
    assert picture.width == 11 * (sheet.width - 2) + 2
    assert picture.height == 2 * 2 * (sheet.height - 2) + 2 + 16
    pixels = np.asarray(picture)
    tile = np.asarray(sheet)
    for row in range(4):  # the last column is the image, in both of its rows
        top, left = 16 + row * (sheet.height - 2), 10 * (sheet.width - 2)
        last = pixels[top : top + sheet.height, left : left + sheet.width]
        same = (last == tile).all()
        assert same == (row < 2)  # the third and fourth rows show the other image
    assert (pixels[:16] < 128).any()  # headings


def test_few_steps_are_shown_once_each():
    one = strip_picture(small()(1, steps=1, trajectory=1))
    three = strip_picture(small()(1, steps=3, trajectory=1))
    assert (one.width - 2) * 2 == three.width - 2  # 1 + 1 columns, 3 + 1


@pytest.mark.parametrize("channels", [1, 3])
def test_the_moving_picture_has_a_frame_per_step_and_holds_the_last(channels):
    samples = small(channels=channels)(3, steps=7, trajectory=2)
    with Image.open(io.BytesIO(moving_picture(samples))) as gif:
        assert gif.info["loop"] == 0
        shown = []
        for k in range(gif.n_frames):
            gif.seek(k)
            shown.append((gif.info["duration"], np.asarray(gif.convert("RGB"))))
    assert len(shown) == 8
    assert [duration for duration, _ in shown] == [400] * 7 + [2000]
    final = np.concatenate([samples.images[:2]] * 2)
    wanted = np.asarray(image_grid(final, columns=2).convert("RGB")).astype(int)
    apart = np.abs(shown[-1][1].astype(int) - wanted)
    assert apart.max() <= (0 if channels == 1 else 40)
    assert np.abs(shown[0][1].astype(int) - wanted).mean() > 5


def test_points_of_the_plane_go_their_way_as_clouds():
    samples = small(size=(1, 2))(50, steps=4, trajectory=50)
    strip = strip_picture(samples)
    assert strip.size == (5 * 134 - 2, 2 * 134 - 2 + 16)
    final = np.asarray(cloud_grid([samples.images], 1, 132))
    pixels = np.asarray(strip)
    for row in range(2):
        top = 16 + 134 * row
        np.testing.assert_array_equal(pixels[top : top + 132, 4 * 134 :], final)
    assert (pixels[16:148, :132] != final).any()
    with Image.open(io.BytesIO(moving_picture(samples))) as gif:
        assert gif.n_frames == 5
        gif.seek(4)
        last = np.asarray(gif.convert("RGB")).astype(int)
    wanted = np.asarray(cloud_grid([samples.images] * 2, 2)).astype(int)
    assert last.shape == wanted.shape and np.abs(last - wanted).mean() < 2


def test_samples_without_a_trajectory_have_no_way():
    with pytest.raises(UsageError, match="have no trajectory"):
        strip_picture(small()(1))
