r"""Sliced Wasserstein distance between two sets of features (MIND).

Features are projected on random directions u of length 1; the distance is

.. math:: MIND = 3\,D\;\mathrm{mean}_u\; W_2^2(u \cdot x, u \cdot y)                             (1)

for D features, where the squared Wasserstein-2 distance of numbers is that of their quantiles,

    W_2^2 = \int_0^1 (F^{-1}(p) - G^{-1}(p))^2 dp                                                (2)

the mean squared difference of both sorted, if there are as many of either; else the integral over
the steps of both, exactly. Between N(m, s^2 I) and N(0, I) it is ``3 D ((s - 1)^2 + |m|^2 / D)``.
The estimate is biased upwards, and not below zero.

One more x moves (2) by phi(x) / n, with phi the Kantorovich potential of the map T from one set of
quantiles to the other,

    phi'(v) = 2 (v - T(v)),   mean phi(x) = 0                                                    (3)

and the standard error is the deviation of ``3 D mean_u phi_u(x)`` over sqrt(n), and likewise for y:
a jackknife in closed form. Near zero the noise of phi itself counts too: the interval is then wider
than it needs to be, its variance up to twice too large.

References: Rabin et al., "Wasserstein barycenter and its application to texture mixing" (2011), for
the sliced distance; arXiv 2605.06797 (2026), for the factor and the name; Santambrogio, "Optimal
transport for applied mathematicians" (2015), section 7.2, for (3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.metrics.rows import pair_of_rows
from undrift.randomness import generator

_TOGETHER = 1 << 21  # projections held at once, 16 MiB a table


def sliced_distance(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    directions: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Equation (1), in squared feature units, with a 95 % interval from (3).

    The interval is about the expectation of the estimate at these n and m, over redraws of both
    sets; the directions are held fixed.

    Args:
        x: (n, D) features, n >= 2.
        y: (m, D) features of the same extractor, m >= 2.
        directions: how many.
        seed: of the directions.

    Raises:
        UsageError: shapes that do not fit, features that are not finite, or too few rows.
    """
    a, b = pair_of_rows(x, y, fewest=2)
    if directions < 1:
        raise UsageError(f"{directions} directions: wanted at least 1")
    size, units = a.shape[1], _directions(a.shape[1], directions, seed)
    # equal means change nothing in (1), and small numbers keep the cumulated potential exact
    centre = b.mean(dim=0)
    a, b = a - centre, b - centre
    from_x, from_y, weights = _steps(len(a), len(b))
    total = 0.0
    potential_x, potential_y = a.new_zeros(len(a)), b.new_zeros(len(b))
    for some in units.split(max(1, _TOGETHER // (len(a) + len(b)))):
        sorted_a, order_a = (some @ a.T).sort(dim=1)
        sorted_b, order_b = (some @ b.T).sort(dim=1)
        here, there = sorted_a[:, from_x], sorted_b[:, from_y]
        total += float(((here - there).square() @ weights).sum())  # equation (2)
        target_a = _mean_over(there, from_x, weights, len(a))
        target_b = _mean_over(here, from_y, weights, len(b))
        _add_potential(potential_x, sorted_a, target_a, order_a)
        _add_potential(potential_y, sorted_b, target_b, order_b)
    factor = 3.0 * size / directions
    variance = float(potential_x.var()) / len(a) + float(potential_y.var()) / len(b)
    return Estimate.normal(
        factor * total,
        factor * variance**0.5,
        "influence function; both sets redrawn, directions fixed; bias not removed",
        lowest=0.0,
    )


def sliced_distances_without(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    groups: Sequence[NDArray[np.int64]],
    directions: int = 1000,
    seed: int = 0,
) -> list[float]:
    """The value of `sliced_distance` with each of ``groups`` of rows of ``x`` left out, in turn.

    What was sorted stays sorted, so that all of them cost little more than one.

    Raises:
        UsageError: as for `sliced_distance`, or a group that leaves no row.
    """
    a, b = pair_of_rows(x, y, fewest=2)
    if max(map(len, groups)) >= len(a):
        raise UsageError(f"all of {len(a)} images left out: needs 1 that is left")
    size, units = a.shape[1], _directions(a.shape[1], directions, seed)
    centre = b.mean(dim=0)
    a, b = a - centre, b - centre
    group = torch.zeros(len(a), dtype=torch.int64)
    for number, rows in enumerate(groups):
        group[torch.from_numpy(rows)] = number
    steps = {left: _steps(left, len(b)) for left in {len(a) - len(rows) for rows in groups}}
    totals = [0.0] * len(groups)
    for some in units.split(max(1, _TOGETHER // (len(a) + len(b)))):
        sorted_a, order_a = (some @ a.T).sort(dim=1)
        sorted_b = (some @ b.T).sort(dim=1).values
        where = group[order_a]
        for number, rows in enumerate(groups):
            kept = sorted_a[where != number].view(len(some), len(a) - len(rows))
            from_x, from_y, weights = steps[kept.shape[1]]
            apart = kept[:, from_x] - sorted_b[:, from_y]
            totals[number] += float((apart.square() @ weights).sum())  # equation (2)
    return [3.0 * size / directions * total for total in totals]


def _directions(size: int, count: int, seed: int) -> Tensor:
    """(count, size) of length 1."""
    draws = generator(seed, "sliced directions")
    units = torch.randn((count, size), generator=draws, dtype=torch.float64)
    return units / units.norm(dim=1, keepdim=True)


def _steps(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of two quantile functions: index into n, index into m, and length of each."""
    # in units of 1 / nm, where both kinds of step end at whole numbers
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    return (
        torch.from_numpy(starts // m),
        torch.from_numpy(starts // n),
        torch.from_numpy(lengths / (n * m)),
    )


def _mean_over(values: Tensor, index: Tensor, weights: Tensor, count: int) -> Tensor:
    """T: the mean of ``values`` (u, steps) over the steps of each of ``count`` numbers."""
    sums = values.new_zeros((len(values), count))
    return sums.index_add_(1, index, values * weights).mul_(count)


def _add_potential(total: Tensor, points: Tensor, targets: Tensor, order: Tensor) -> None:
    """Add equation (3), summed over directions, to ``total`` (n,).

    Args:
        total: one entry for each image.
        points: (u, n) sorted projections.
        targets: (u, n) what T maps them to.
        order: (u, n) image that each belongs to.
    """
    lift = points - targets
    phi = torch.zeros_like(points)
    # the integral of 2 (v - T(v)) from one point to the next, by the trapezoid rule
    phi[:, 1:] = (points.diff(dim=1) * (lift[:, 1:] + lift[:, :-1])).cumsum(dim=1)
    phi -= phi.mean(dim=1, keepdim=True)
    total.index_add_(0, order.flatten(), phi.flatten())
