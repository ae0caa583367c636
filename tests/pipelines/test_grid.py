"""Grids: where each image lies, enlarged how, on what."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.pipelines import image_grid
from undrift.pipelines.grid import cloud_grid


def drawn(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGB")])
def test_modes(channels, mode):
    assert image_grid(drawn(3, 70, 80, channels)).mode == mode


def test_images_lie_row_by_row_with_their_own_pixels():
    images = drawn(5, 70, 80, 3)
    made = np.asarray(image_grid(images, columns=3))
    assert made.shape == (2 * 72 + 2, 3 * 82 + 2, 3)
    for i, image in enumerate(images):
        top, left = 2 + i // 3 * 72, 2 + i % 3 * 82
        assert (made[top : top + 70, left : left + 80] == image).all()
    assert (made[74:144, 2 + 2 * 82 : 82 * 3] == 255).all()  # the empty place is paper


def test_tiny_images_are_enlarged_without_smoothing():
    images = drawn(1, 8, 8, 1)
    made = np.asarray(image_grid(images))
    assert made.shape == (68, 68)
    assert (made[2:66, 2:66] == images[0, :, :, 0].repeat(8, 0).repeat(8, 1)).all()


def test_points_of_the_plane_are_drawn_where_they_lie():
    points = np.array([[0, 0], [255, 255]], np.uint8).reshape(2, 1, 2, 1)
    made = image_grid(points, columns=1)
    assert (made.mode, made.width) == ("RGB", made.height)
    drawn_at = np.argwhere(np.asarray(made)[1:-1, 1:-1].min(-1) < 250)
    lower_left, upper_right = drawn_at[drawn_at[:, 0] > 250], drawn_at[drawn_at[:, 0] < 250]
    assert (lower_left[:, 1] < 50).all() and (upper_right[:, 1] > 450).all()
    with pytest.raises(UsageError, match="at least 1"):
        image_grid(points, columns=0)


def test_clouds_lie_row_by_row():
    one = np.full((1, 1, 2, 1), 128, np.uint8)
    sheet = cloud_grid([one, one[:0], one], columns=2, side=100)
    assert sheet.size == (202, 202)
    pixels = np.asarray(sheet).min(-1)
    tiles = [pixels[r : r + 98, c : c + 98] for r in (1, 103) for c in (1, 103)]
    assert [(tile < 250).any() for tile in tiles] == [True, False, True, False]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 2), (5, 3), (16, 4), (100, 10)])
def test_grids_are_about_square(count, columns):
    assert image_grid(drawn(count, 64, 64, 1)).width == columns * 66 + 2


def test_more_columns_than_images():
    assert image_grid(drawn(2, 64, 64, 1), columns=8).width == 2 * 66 + 2


def test_transparent_images_show_a_checkerboard():
    images = drawn(1, 64, 64, 4)
    images[0, :, :32, 3], images[0, :, 32:, 3] = 0, 255
    made = np.asarray(image_grid(images))[2:66, 2:66]
    assert set(np.unique(made[:, :32])) == {208, 255}
    assert (made[:8, :8] == 255).all() and (made[:8, 8:16] == 208).all()
    assert (made[:, 32:] == images[0, :, 32:, :3]).all()


@pytest.mark.parametrize(
    ("images", "columns", "message"),
    [
        (drawn(0, 8, 8, 1), None, "no images"),
        (drawn(2, 8, 8), None, "uint8"),
        (drawn(2, 8, 8, 5), None, "uint8"),
        (drawn(2, 8, 8, 3).astype(np.float32), None, "uint8"),
        (drawn(2, 8, 8, 3), 0, "columns"),
    ],
)
def test_wrong_input_is_refused(images, columns, message):
    with pytest.raises(UsageError, match=message):
        image_grid(images, columns=columns)
