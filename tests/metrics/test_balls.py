"""Balls about rows: radii and members agree with exact ones, down to ties, copies and borders."""

from __future__ import annotations

import pytest
import torch
from tests.metrics.hard_rows import exact, hard
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.balls import members, squared_radii
from undrift.metrics.distances import Space, squared
from undrift.metrics.parts import Parts


def dealt(count: int, *most: int) -> Parts:
    """Ways to deal ``count`` rows into so many parts each."""
    draws = torch.Generator().manual_seed(count)
    return Parts.joined([Parts.dealt(count, parts, draws) for parts in most])


def radii(x: Tensor, k: int, parts: Parts, chunk: int = 128) -> Tensor:
    space = Space.around(x)
    return squared_radii(space, space.points(x), k, parts, chunk)


def radii_alone(x: Tensor, k: int, parts: Parts) -> Tensor:
    """Part by part and by differences."""
    found = torch.empty(parts.of.shape, dtype=torch.float64)
    for way, of in zip(found, parts.of, strict=True):
        for part in of.unique():
            rows = x[of == part]
            distance = exact(rows, rows).fill_diagonal_(torch.inf)
            way[of == part] = distance.kthvalue(k, dim=1).values
    return found


@pytest.mark.parametrize("size", [1, 3, 64, 700])
@pytest.mark.parametrize("chunk", [1, 13, 512])
def test_radii_are_exact(size: int, chunk: int):
    x, _ = hard(size)
    for k in (1, 4, 59):
        whole = Parts.whole(60)
        assert torch.equal(radii(x, k, whole, chunk), radii_alone(x, k, whole))


@pytest.mark.parametrize("size", [1, 3, 700])
@pytest.mark.parametrize("chunk", [13, 512])
def test_radii_within_parts_are_those_of_the_parts_alone(size: int, chunk: int):
    x, _ = hard(size)
    parts = dealt(60, 1, 2, 4, 4)
    for k in (1, 3, 14):
        assert torch.equal(radii(x, k, parts, chunk), radii_alone(x, k, parts))


def test_neighbours_further_away_than_all_that_are_listed_are_found():
    # those of a small part, far away, are not among the nearest 32 of the one row that is not
    draws = torch.Generator().manual_seed(2)
    near = torch.randn((300, 2), generator=draws, dtype=torch.float64)
    far = 50 + 20 * torch.randn((6, 2), generator=draws, dtype=torch.float64)
    x, of = torch.cat([near, far]), torch.tensor([[0] * 300 + [1] * 6], dtype=torch.int8)
    of[0, 0] = 1
    parts = Parts(of, 2)
    assert torch.equal(radii(x, 4, parts), radii_alone(x, 4, parts))


def test_of_near_ties_at_the_end_of_the_list_the_nearest_is_found():
    # an outlier makes products coarse: which of twenty near-ties comes last in the list is chance
    draws = torch.Generator().manual_seed(3)
    ties = torch.randn((20, 3), generator=draws, dtype=torch.float64)
    ties *= (1 + 1e-10 * torch.arange(20.0, dtype=torch.float64).flip(0)[:, None]) / ties.norm(
        dim=1, keepdim=True
    )
    crowd = 0.5 * torch.randn((14, 3), generator=draws, dtype=torch.float64).clamp(-0.5, 0.5)
    outlier = torch.full((1, 3), 1e5, dtype=torch.float64)
    x = torch.cat([torch.zeros((2, 3), dtype=torch.float64), ties, crowd, outlier])
    of = torch.tensor([[0] * 22 + [1] * 15], dtype=torch.int8)
    parts = Parts(of, 2)
    # of the first row's 16 nearest, its copy and 14 of the crowd: one tie is listed, 19 are not
    assert torch.equal(radii(x, 2, parts)[0, :2], radii_alone(x, 2, parts)[0, :2])


def test_copies_by_the_hundred_have_balls_without_inside():
    x = torch.randn((3, 5), dtype=torch.float64).repeat(200, 1)
    assert not radii(x, 5, dealt(600, 1, 4)).any()


@pytest.mark.parametrize("size", [1, 3, 64, 700])
@pytest.mark.parametrize("wide", [False, True])
def test_membership_is_strict_and_exact(size: int, wide: bool):
    x, y = hard(size)
    space, (of_x, of_y) = Space.around(x, y), (dealt(len(rows), 1, 3) for rows in (x, y))
    limits = torch.stack([radii(x, k, Parts.whole(60))[0] for k in ((3, 5), (40, 55))[wide]])
    distance = squared(space.points(y), space.points(x))
    found = members(distance, y, x, limits, of_y, of_x, space.tolerance)
    together = of_y.of[:, :, None] == of_x.of[:, None]
    wanted = (exact(y, x) < limits[:, None]) & together
    assert torch.equal(found.by_point(), wanted.sum(dim=2).float())
    assert torch.equal(found.by_ball(), wanted.sum(dim=1).float())
    assert len(found.points) and (found.always.any() or not wide)  # of either kind


@pytest.mark.parametrize("size", [1, 3, 64, 700])
def test_a_point_on_the_border_is_outside(size: int):
    # which is where products alone would guess: the pair's own distance is the radius
    x, y = hard(size)
    space = Space.around(x, y)
    distance = squared(space.points(x[:1]), space.points(y))
    border = exact(x[:1], y)
    above = torch.nextafter(border, torch.tensor(torch.inf, dtype=torch.float64))
    for limits, inside in ((border, 0), (above, 1)):
        whole = Parts.whole(1), Parts.whole(len(y))
        found = members(distance, x[:1], y, limits, *whole, space.tolerance)
        assert found.by_ball().tolist() == [[inside] * len(y)]
        assert found.by_point().tolist() == [[inside * len(y)]]


def test_means_are_over_each_part():
    of = torch.tensor([[0, 0, 0, 0], [0, 2, 2, 0]], dtype=torch.int8)
    values = torch.tensor([[1.0, 2, 3, 6], [1, 2, 4, 9]])
    assert Parts(of, 3).means(values).tolist() == [[3, 0, 0], [5, 0, 3]]
    assert Parts(of, 3).sizes.tolist() == [[4, 0, 0], [2, 0, 2]]


def test_no_neighbour_is_refused():
    x, _ = hard(3)
    for k in (0, 60):
        with pytest.raises(UsageError, match=f"k = {k}"):
            radii(x, k, Parts.whole(60))
    with pytest.raises(UsageError, match="k = 15 neighbours among 15"):
        radii(x, 15, dealt(60, 1, 4))
