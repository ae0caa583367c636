"""Distances by matrix products are as near to exact ones as they say; differences are exact."""

from __future__ import annotations

import numpy as np
import torch
from tests.metrics.hard_rows import exact, hard

from undrift.metrics.distances import Space, pair_squares, squared


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
