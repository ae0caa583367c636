r"""Euclidean distances of many pairs of rows by matrix products, with exact comparisons.

    |x - y|^2 = |x|^2 + |y|^2 - 2 x.y                                                            (1)

is one matrix product, but cancels: copies come out at a small number instead of zero, and ties are
no longer ties. With all rows moved to their common mean and |x|^2, |y|^2 <= B, rounding moves (1)
by at most about 4 D u B (u the unit roundoff), so comparisons further apart than a tolerance above
that are decided by (1), and the few others by the sum of squared differences,

    |x - y|^2 = sum_d (x_d - y_d)^2                                                              (2)

which is zero for copies and the same for the same two rows wherever they stand. What comes out is
what (2) alone would have given, at the price of (1).

Reference: Higham, "Accuracy and stability of numerical algorithms" (2002), section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_PAIR_VALUES = 1 << 24  # of differences held at once, 128 MiB


@dataclass(frozen=True)
class Points:
    """Rows with what their distances to others need, made once.

    Attributes:
        rows: (n, D) as they were given.
        left: (n, D + 2) ``[-2 x, |x|^2, 1]`` of the centred rows.
        right: (n, D + 2) ``[x, 1, |x|^2]``: a left times a right row is equation (1).
    """

    rows: Tensor
    left: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice | Tensor) -> Points:
        return Points(self.rows[which], self.left[which], self.right[which])


@dataclass(frozen=True)
class Space:
    """Where rows are compared.

    Attributes:
        centre: (D,) the mean that rows are moved by before a product.
        tolerance: twice and more what rounding can do to equation (1).
    """

    centre: Tensor
    tolerance: float

    @classmethod
    def around(cls, *sets: Tensor) -> Space:
        """The space of all rows of ``sets``, each (n, D) float64."""
        total = torch.stack([rows.sum(dim=0) for rows in sets]).sum(dim=0)
        centre = total / sum(len(rows) for rows in sets)
        bound = max(float((rows - centre).square().sum(dim=1).max()) for rows in sets)
        return cls(centre, 2.0**-52 * (4 * len(centre) + 64) * bound)

    def points(self, rows: Tensor) -> Points:
        """``rows`` (n, D) of one of the sets, ready to be compared."""
        centred = rows - self.centre
        squares, one = centred.square().sum(dim=1, keepdim=True), rows.new_ones((len(rows), 1))
        left = torch.cat([-2 * centred, squares, one], dim=1)
        return Points(rows, left, torch.cat([centred, one, squares], dim=1))


def squared(points: Points, others: Points) -> Tensor:
    """Equation (1) for n ``points`` and m ``others``: (n, m), within the space's tolerance."""
    return points.left @ others.right.T


def pair_squares(rows: Tensor, others: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Equation (2) for the pairs ``rows[i]``, ``others[j]``: (p,)."""
    step = max(1, _PAIR_VALUES // max(1, rows.shape[1]))
    parts = [
        (rows[a] - others[b]).square().sum(dim=1)
        for a, b in zip(i.split(step), j.split(step), strict=True)
    ]
    return torch.cat(parts) if parts else rows.new_empty(0)
