"""Comparisons of distances: fast ones agree with exact ones, down to ties and copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.distances import Space, pair_squares, squared


def exact(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y[None]).square().sum(dim=2)


def hard(size: int) -> tuple[Tensor, Tensor]:
    """Far from the origin, with copies, near-copies and rows that repeat."""
    draws = torch.Generator().manual_seed(size)
    x = 1e3 + torch.randn((60, size), generator=draws, dtype=torch.float64)
    x[10:20] = x[0]
    x[20:25] = x[1] + 1e-9
    y = torch.cat([x[5:40:3], 1e3 + torch.randn((20, size), generator=draws, dtype=torch.float64)])
    return x, y


@pytest.mark.parametrize("size", [1, 3, 64, 700])
@pytest.mark.parametrize("chunk", [1, 13, 512])
def test_radii_are_exact(size: int, chunk: int):
    x, _ = hard(size)
    distance = exact(x, x)
    distance.fill_diagonal_(torch.inf)
    for k in (1, 4, 59):
        wanted = distance.kthvalue(k, dim=1).values
        space = Space.around(x)
        assert torch.equal(space.squared_radii(space.points(x), k, chunk), wanted)


@pytest.mark.parametrize("size", [1, 3, 64, 700])
def test_membership_is_strict_and_exact(size: int):
    x, y = hard(size)
    space = Space.around(x, y)
    px, py = space.points(x), space.points(y)
    real, generated = space.squared_radii(px, 3), space.squared_radii(py, 3)
    near, held = space.inside(py, px, generated, real)
    assert torch.equal(near, exact(y, x) < real[None])
    assert torch.equal(held, exact(y, x) < generated[:, None])
    # on the border, which is where products alone would guess: the pair's own distance as radius
    border = exact(y, x)[:, 0]
    assert not space.inside(py, px[:1], border, border[:1])[1].any()
    above = torch.nextafter(border, torch.tensor(torch.inf, dtype=torch.float64))
    assert space.inside(py, px[:1], above, border[:1])[1].all()


def test_the_tolerance_holds_what_rounding_does():
    for size in (2, 64, 2048):
        x, y = hard(size)
        space = Space.around(x, y)
        worst = float((squared(space.points(x), space.points(y)) - exact(x, y)).abs().max())
        assert worst < space.tolerance
        assert space.tolerance < 1e-8 * float(exact(x, y).max())


def test_the_same_pair_is_as_far_wherever_it_stands():
    draws = np.random.default_rng(0)
    for size in (1, 5, 64, 2048):
        x = torch.from_numpy(draws.normal(size=(50, size)))
        i, j = torch.arange(50), torch.arange(50).roll(7)
        together = pair_squares(x, x, i, j)
        alone = torch.cat([pair_squares(x, x, i[n : n + 1], j[n : n + 1]) for n in range(50)])
        assert torch.equal(together, alone)
        assert torch.equal(together, pair_squares(x, x, j, i))


def test_no_neighbour_is_refused():
    x, _ = hard(3)
    for k in (0, 60):
        with pytest.raises(UsageError, match=f"k = {k}"):
            Space.around(x).squared_radii(Space.around(x).points(x), k)
