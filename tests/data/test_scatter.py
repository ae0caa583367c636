"""Points as a picture: where they are drawn, what lies over what, and how dense it looks."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.data.scatter import BEFORE, BEHIND, MARGIN, ZOOM, on_plane, scatter


def image(*points: tuple[int, int]) -> np.ndarray:
    return np.array(points, np.uint8).reshape(-1, 1, 2, 1)


def opacity(picture: object) -> np.ndarray:
    inner = np.asarray(picture)[1:-1, 1:-1]  # within the frame
    return inner[..., 3].astype(int)


@pytest.mark.parametrize(
    ("shape", "plane"),
    [((1, 2, 1), True), ((2, 1, 1), True), ((1, 1, 2), True), ((1, 1, 1), False)],
)
def test_two_values_are_a_point_of_the_plane(shape: tuple[int, int, int], plane: bool) -> None:
    assert on_plane(shape) == plane


@pytest.mark.parametrize("point", [(0, 0), (255, 0), (0, 255), (10, 200)])
def test_a_point_is_drawn_right_and_up(point: tuple[int, int]) -> None:
    picture = scatter(image(point))
    drawn = opacity(picture)
    rows, columns = np.nonzero(drawn)
    side = picture.width
    assert columns.mean() + 1 == pytest.approx(MARGIN + ZOOM * point[0])
    assert rows.mean() + 1 == pytest.approx(side - 1 - MARGIN - ZOOM * point[1])
    assert 10 < len(rows) < 40  # a dot


def test_no_points_leave_the_paper_alone_but_for_the_frame() -> None:
    picture = scatter(image())
    assert not opacity(picture).any()
    assert (np.asarray(picture)[0, :, 3] == 255).all()


def test_more_points_are_more_opaque() -> None:
    seen = [opacity(scatter(image(*[(99, 99)] * n))).max() for n in (1, 2, 20)]
    assert seen[0] < seen[1] < seen[2] == 255


def test_samples_lie_over_the_data_behind_them() -> None:
    many = image(*[(60, 60)] * 40)
    centre = (scatter(many).height - 1 - MARGIN - ZOOM * 60, MARGIN + ZOOM * 60)
    alone = np.asarray(scatter(image(), behind=many))[centre]
    assert tuple(alone) == (*BEHIND, 255)
    over = np.asarray(scatter(many, behind=many))[centre]
    assert tuple(over) == (*BEFORE, 255)
    mixed = np.asarray(scatter(image((60, 60)), behind=many))[centre].astype(float)
    share = 0.45  # of one point
    wanted = share * np.array(BEFORE) + (1 - share) * np.array(BEHIND)
    np.testing.assert_allclose(mixed[:3], wanted, atol=1)
