r"""Fidelity and diversity from nearest neighbours: precision, recall, density, coverage.

Around every real feature ``x_i`` lies a ball ``B(x_i, r_i)`` whose radius is the distance to its
k-th nearest other real feature (itself left out), and likewise around every generated ``y_j``. With
N real and M generated features:

    precision = 1/M  #{j : y_j in some B(x_i)}          recall   = 1/N #{i : x_i in some B(y_j)} (1)
    density   = 1/kM #{(i, j) : y_j in B(x_i)}          coverage = 1/N #{i : some y_j in B(x_i)} (2)

Membership is strict, ``|x - y| < r``: with ``<=``, sets that hold duplicates count themselves as
covered. For equal distributions E[density] = 1 and

    E[coverage] = 1 - prod_{i=0}^{k-1} (N - 1 - i) / (N + M - 1 - i)                             (3)

so coverage depends on N and M: compare it at equal sizes only.

Intervals come from subsampling without replacement. A bootstrap is invalid here: it repeats rows,
repeated rows are each other's neighbours at distance zero, and the radii collapse. Both sets are
cut at random into G disjoint blocks of (N/G, M/G) rows; the numbers of the blocks, theta_g, are
independent, so their variance s^2 is that of a block. These statistics are means of terms that
depend on a few neighbours only, so their variance falls as one over the size:

    Var(theta) = s^2 / G, averaged over R ways of cutting                                        (4)

For the three shares the blocks give the design effect, the variance over that of as many
independent draws, and the interval is Wilson's with the count divided by it: it stays inside
[0, 1] and does not shrink to a point where every block says 0 or 1. The interval is about the
expectation of the number at this N and M, over new draws of both sets. Coverage's and precision's
hold it as often as they say. Where a few far-out balls decide, which a block of a quarter of the
rows sees less of, it is narrower than it should be by up to a quarter: recall of a model whose
spread differs from the data's, density in many dimensions.

References: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative
models" (2019), for (1); Naeem et al., "Reliable fidelity and diversity metrics for generative
models" (2020), for (2) and (3); Politis, Romano, Wolf, "Subsampling" (1999), for (4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.metrics.balls import members, squared_radii
from undrift.metrics.distances import Space, squared
from undrift.metrics.estimate import Estimate
from undrift.metrics.moments import Array
from undrift.metrics.parts import Parts
from undrift.metrics.rows import pair_of_rows
from undrift.metrics.wilson import wilson_interval
from undrift.randomness import generator

NAMES = ("precision", "recall", "density", "coverage")

# few blocks, as (4) carries the variance from their size to the whole; many cuts, to measure it
_BLOCKS = 4
_CUTS = 10


@dataclass(frozen=True)
class Neighbourhoods:
    """The four numbers with their 95 % intervals, and what they were computed from.

    Attributes:
        precision: share of generated features inside some real ball, in [0, 1].
        recall: share of real features inside some generated ball, in [0, 1].
        density: mean number of real balls a generated feature lies in, over k; 1 is right.
        coverage: share of real balls that hold a generated feature, in [0, 1].
        real: N.
        generated: M.
        k: neighbour that sets the radius.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    real: int
    generated: int
    k: int


def neighbourhoods(
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    k: int = 5,
    *,
    seed: int = 0,
    chunk: int = 128,
) -> Neighbourhoods:
    """Equations (1) and (2) for ``real`` (N, D) and ``generated`` (M, D), in float64.

    The intervals are about the expectations at this N and M, not about limits; both sets vary. With
    too few rows for four blocks of 2 (k + 1), each is the whole range the number can be in, and
    ``method`` says so.

    Args:
        real: features of real images.
        generated: features of generated images, from the same extractor.
        k: neighbour that sets the radius of a ball.
        seed: of the blocks that the intervals come from.
        chunk: rows of the distance matrix held at once; memory is a few chunk x max(N, M).

    Raises:
        UsageError: shapes that do not fit, or a set with no k-th neighbour.
    """
    x, y = pair_of_rows(real, generated, fewest=1)
    if min(len(x), len(y)) < _BLOCKS * 2 * (k + 1):
        whole = Parts.whole(len(x)), Parts.whole(len(y))
        values = _statistics(x, y, k, *whole, chunk)[0, 0].tolist()
        method = f"too few rows for blocks of {2 * (k + 1)}: the whole range"
        highest = (1.0, 1.0, len(x) / k, 1.0)
        precision, recall, density, coverage = (
            Estimate(value, 0.0, high, method) for value, high in zip(values, highest, strict=True)
        )
        return Neighbourhoods(precision, recall, density, coverage, len(x), len(y), k)
    found = _statistics(x, y, k, *_cuts(len(x), len(y), seed), chunk)
    values, parts = found[0, 0].tolist(), found[1:]
    means, variances = parts.mean(axis=(0, 1)), parts.var(axis=1, ddof=1).mean(axis=0)
    method = f"subsampling, {_CUTS} x {_BLOCKS} disjoint blocks without replacement; both sets vary"
    precision, recall, coverage = (
        _share(values[i], float(means[i]), float(variances[i]), count, method)
        for i, count in ((0, len(y)), (1, len(x)), (3, len(x)))
    )
    density = Estimate.normal(values[2], float(np.sqrt(variances[2] / _BLOCKS)), method, lowest=0.0)
    return Neighbourhoods(precision, recall, density, coverage, len(x), len(y), k)


def neighbourhood_values(
    real: NDArray[np.floating], generated: NDArray[np.floating], k: int = 5, chunk: int = 128
) -> dict[str, float]:
    """The four numbers of `neighbourhoods` by name, without the blocks of the intervals.

    Raises:
        UsageError: as for `neighbourhoods`.
    """
    x, y = pair_of_rows(real, generated, fewest=1)
    whole = Parts.whole(len(x)), Parts.whole(len(y))
    found = _statistics(x, y, k, *whole, chunk)[0, 0]
    return dict(zip(NAMES, found.tolist(), strict=True))


def kept_values(
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    kept: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    k: int = 5,
    chunk: int = 128,
) -> list[dict[str, float]]:
    """`neighbourhood_values` of parts of both sets, all by one pass over the distances.

    Args:
        real: (N, D).
        generated: (M, D).
        kept: rows of ``real`` and rows of ``generated``, for each part.
        k: neighbour that sets the radius of a ball.
        chunk: rows of the distance matrix held at once.

    Raises:
        UsageError: as for `neighbourhoods`.
    """
    x, y = pair_of_rows(real, generated, fewest=1)
    x, one = _among(x, [rows for rows, _ in kept])
    y, other = _among(y, [rows for _, rows in kept])
    found = _statistics(x, y, k, one, other, chunk)
    return [dict(zip(NAMES, each[0].tolist(), strict=True)) for each in found]


def _among(rows: Tensor, kept: list[NDArray[np.int64]]) -> tuple[Tensor, Parts]:
    """Those of ``rows`` that are in one of ``kept`` at least, and which ones each of these is."""
    used = np.unique(np.concatenate(kept))
    ways = [Parts.kept(len(used), np.searchsorted(used, some)) for some in kept]
    return rows[torch.from_numpy(used)], Parts.joined(ways)


def expected_coverage(real: int, generated: int, k: int = 5) -> float:
    """Equation (3): the coverage of a perfect model at these sizes."""
    missed = 1.0
    for i in range(k):
        missed *= (real - 1 - i) / (real + generated - 1 - i)
    return 1.0 - missed


def _statistics(x: Tensor, y: Tensor, k: int, real: Parts, generated: Parts, chunk: int) -> Array:
    """Equations (1) and (2) within the parts of C ways to divide both sets.

    Args:
        x: (N, D).
        y: (M, D).
        k: neighbour that sets the radius.
        real: parts of ``x``; each way's g-th is compared with the g-th of
        generated: those of ``y``.
        chunk: rows of the distance matrix held at once.

    Returns:
        (C, G, 4): precision, recall, density, coverage; zeros where a way has fewer parts.
    """
    space = Space.around(x, y)
    px, py = space.points(x), space.points(y)
    real_radii = squared_radii(space, px, k, real, chunk)
    generated_radii = squared_radii(space, py, k, generated, chunk)
    memberships = torch.zeros((len(generated), len(y)))
    covered, recalled = torch.zeros((2, len(real), len(x)))
    for start in range(0, len(y), chunk):
        rows = slice(start, start + chunk)
        part, distance = generated[rows], squared(py[rows], px)
        within = members(distance, y[rows], x, real_radii, part, real, space.tolerance)
        memberships[:, rows] = within.by_point()
        covered += within.by_ball()
        radii = generated_radii[:, rows]
        recalled += members(distance.T, x, y[rows], radii, real, part, space.tolerance).by_point()
    numbers = (
        generated.means(memberships > 0),
        real.means(recalled > 0),
        generated.means(memberships) / k,
        real.means(covered > 0),
    )
    return torch.stack(numbers, dim=2).numpy()


def _cuts(real: int, generated: int, seed: int) -> tuple[Parts, Parts]:
    """Rows of either set: all in one part, then R random ways of cutting them into blocks."""
    ways = [(Parts.whole(real), Parts.whole(generated))]
    for cut in range(_CUTS):
        draws = generator(seed, "neighbourhood blocks", cut)
        ways.append((Parts.dealt(real, _BLOCKS, draws), Parts.dealt(generated, _BLOCKS, draws)))
    return Parts.joined([one for one, _ in ways]), Parts.joined([other for _, other in ways])


def _share(value: float, mean: float, variance: float, count: int, method: str) -> Estimate:
    """Wilson's interval with ``count`` divided by the design effect of the blocks."""
    independent = mean * (1 - mean) / (count / _BLOCKS)
    effect = variance / independent if independent > 0 else 1.0
    # blocks that agree by chance would claim certainty: no more than twice the count is believed
    effective = count / max(float(effect), 0.5)
    low, high = wilson_interval(value * effective, effective)
    return Estimate(value, low, high, method)
