"""Balls about rows of features: how wide they are, and what lies inside, exactly.

The ball about a row reaches to its k-th nearest other row, which is outside: membership is strict.
Both are computed within the parts of several ways to divide the rows, by one pass over
the distances. Near the border, where products may round either way, sums of squared differences
decide (see `undrift.metrics.distances`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.distances import Points, Space, pair_squares, squared
from undrift.metrics.parts import Parts

_ROOM = 3  # a list holds so many times the neighbours that a part would need to have k of them


def squared_radii(space: Space, points: Points, k: int, parts: Parts, chunk: int = 128) -> Tensor:
    """Squared distance of each of n ``points`` to its k-th nearest other of the same part, exact.

    Args:
        space: where the points are.
        points: n of them.
        k: which neighbour.
        parts: C ways to divide the points.
        chunk: rows of the table of distances held at once.

    Returns:
        (C, n); of rows that are in no part it means nothing.

    Raises:
        UsageError: a part of fewer than k + 1 points, or k < 1.
    """
    count = len(points)
    sizes = parts.sizes
    fewest = int(sizes[sizes > 0].min())
    if not 1 <= k < fewest:
        raise UsageError(f"k = {k} neighbours among {fewest} images: needs 1 <= k < {fewest}")
    listed = k + 1 if len(parts) == 1 else _ROOM * parts.most * k
    found = []
    for start in range(0, count, chunk):
        rows = torch.arange(start, min(start + chunk, count))
        distance = squared(points[rows], points)
        distance[rows - start, rows] = torch.inf  # the row itself is no neighbour
        nearest = distance.topk(min(listed, count - 1), dim=1, largest=False)
        last = nearest.values[:, -1]
        beyond = last if listed < count - 1 else torch.full_like(last, torch.inf)
        near = _Listed(rows, nearest.indices, nearest.values, beyond, parts, k)
        found.append(_exact_radii(near, points.rows, distance, space.tolerance))
    return torch.cat(found, dim=1)


@dataclass(frozen=True)
class Members:
    """Which of n points lie inside which of m balls, in C ways; not across parts.

    Attributes:
        always: (n, m) pairs that are near enough in every way that has them in one part.
        points: (p,) points of the other pairs that are in some way, and
        balls: (p,) their balls.
        some: (C, p) in which ways they are.
        point_parts: of the points.
        ball_parts: of the balls.
    """

    always: Tensor
    points: Tensor
    balls: Tensor
    some: Tensor
    point_parts: Parts
    ball_parts: Parts

    def by_point(self) -> Tensor:
        """(C, n) balls that each point is in."""
        counts = self.point_parts.own(self.always.float() @ self.ball_parts.table)
        return counts.index_add(1, self.points, self.some.float())

    def by_ball(self) -> Tensor:
        """(C, m) points in each ball."""
        counts = self.ball_parts.own(self.always.float().T @ self.point_parts.table)
        return counts.index_add(1, self.balls, self.some.float())


def members(
    distance: Tensor,
    points: Tensor,
    centres: Tensor,
    radii: Tensor,
    point_parts: Parts,
    ball_parts: Parts,
    tolerance: float,
) -> Members:
    """Find the members of balls.

    Args:
        distance: (n, m) squared, by products.
        points: (n, D) rows.
        centres: (m, D) rows that the balls are about.
        radii: (C, m) squared.
        point_parts: C ways to divide the points.
        ball_parts: the same of the balls.
        tolerance: of ``distance``.
    """
    always = distance < radii.amin(dim=0) - tolerance
    i, j = torch.nonzero((distance <= radii.amax(dim=0) + tolerance) & ~always, as_tuple=True)
    near, limits = distance[i, j], radii[:, j]
    together = point_parts.of[:, i] == ball_parts.of[:, j]
    inside = near < limits
    way, pair = torch.nonzero(together & ((near - limits).abs() <= tolerance), as_tuple=True)
    exact = pair_squares(points, centres, i[pair], j[pair])
    inside[way, pair] = exact < limits[way, pair]
    return Members(always, i, j, inside & together, point_parts, ball_parts)


@dataclass(frozen=True, eq=False)
class _Listed:
    """The nearest others of r rows, nearest first.

    Attributes:
        rows: (r,).
        indices: (r, K) rows of the others.
        distances: (r, K) squared, by products.
        beyond: (r,) what these are at least for others that are not listed.
        parts: C ways to divide all rows.
        k: the neighbour that is wanted.
    """

    rows: Tensor
    indices: Tensor
    distances: Tensor
    beyond: Tensor
    parts: Parts
    k: int

    @cached_property
    def same(self) -> Tensor:
        """(C, r, K) whether they are of one part."""
        return self.parts.of[:, self.indices] == self.parts.of[:, self.rows, None]

    def kth(self) -> tuple[Tensor, Tensor]:
        """The k-th smallest (C, r) of the distances in the row's part, and its place.

        Infinite where fewer than k of the part are listed.
        """
        reached = self.same.cumsum(dim=2, dtype=torch.int32) >= self.k  # distances rise
        place = reached.to(torch.uint8).argmax(dim=2)
        values = self.distances.expand_as(self.same).gather(2, place[..., None])[..., 0]
        return torch.where(reached[..., -1], values, torch.inf), place

    def exact(self, rows: Tensor) -> Tensor:
        """(r, K) squared distances by differences of ``rows``."""
        i = self.rows.repeat_interleave(self.indices.shape[1])
        return pair_squares(rows, rows, i, self.indices.flatten()).view_as(self.indices)

    def of(self, some: Tensor) -> _Listed:
        """The same of ``some`` of the rows."""
        return replace(
            self,
            rows=self.rows[some],
            indices=self.indices[some],
            distances=self.distances[some],
            beyond=self.beyond[some],
        )


def _exact_radii(near: _Listed, rows: Tensor, distance: Tensor, tolerance: float) -> Tensor:
    """Exact squared distances (C, r) of the k-th neighbours that are ``near``, or further away."""
    width = 2 * tolerance
    limit, place = near.kth()
    close = near.same & ((near.distances - limit[..., None]).abs() <= width)
    # no other one of the list is about as near as the k-th, and none further down can be
    sure = (close.sum(dim=2) == 1) & (limit + width < near.beyond)
    j = near.indices.expand(len(limit), -1, -1).gather(2, place[..., None])[..., 0]
    found = pair_squares(rows, rows, near.rows.repeat(len(j)), j.flatten()).view_as(j)
    unsure = torch.nonzero(~sure.all(dim=0))[:, 0]
    if not len(unsure):
        return found
    near, distance = near.of(unsure), distance[unsure]
    limit = torch.where(near.same, near.exact(rows), torch.inf).kthvalue(near.k, dim=2).values
    # nothing is nearer than 0: among copies, what is further down does not matter
    settled = (limit == 0) | (limit + tolerance < near.beyond)
    settled |= near.parts.of[:, near.rows] < 0  # in no part, so not needed
    for way, row in torch.nonzero(~settled).tolist():
        mine, part = near.rows[row], near.parts.of[way]
        within = torch.where(part == part[mine], distance[row], torch.inf)
        j = torch.nonzero(within <= within.kthvalue(near.k).values + width)[:, 0]
        limit[way, row] = pair_squares(rows, rows, mine.expand_as(j), j).kthvalue(near.k).values
    found[:, unsure] = limit
    return found
