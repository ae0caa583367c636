r"""Frechet distance extrapolated to endless samples.

The Frechet distance of n samples is biased upwards, by nearly a straight line in 1 / n:

.. math:: E[FD_n] = FD_\infty + a / n + O(1 / n^2)                                              (1)

so that the intercept of a least-squares line through distances at several n has much less bias than
any one of them. The samples are dealt at random into ``B = 20`` blocks; the distance at
``n = k N / B`` is the mean over ``ceil(B / k)`` runs of k neighbouring blocks (cyclic), k from
``B / 5`` (more where that would be fewer than 2 (D + 1) samples) to B: with all samples at work at
every n, the line is not tilted by which of them were taken. Where the reference is given as
features, it is dealt likewise and grows with the samples, M n / N on its side for every n on the
other, which keeps (1) and takes the bias of the reference out as well; where it is given as
moments, the distance to them is what is estimated, as biased as they are.

The intercept is ``sum_r w_r FD_r`` over runs r of L_r blocks. Its linear part is that of the
distance of all samples, with Var[psi] from `frechet_estimate` on either side that is dealt. What a
pair of samples in blocks b and c adds is h / n^2 times

    C_bc = B^2 sum_{r containing b and c} w_r / L_r^2,                                          (2)

1 for the distance of all samples. So with v_2 the second-order variance of that distance, the
intercept's is ``v_2 mean_bc C_bc^2``. (Near zero, where v_2 counts, h of the other side is the same
function, and with m images there v_2 is ``2 E[h^2] (1/n + 1/m)^2``.) The interval is the same as
that of `frechet_estimate`, by variances that go with the target, and not below v_2's part.

A delete-a-group jackknife around the extrapolation would do without derivatives, at 20 times the
cost; for a perfect model its variance is twice too large, and its 95 % intervals hold the target 99
times in 100.

References: Chong and Forsyth, "Effectively unbiased FID and Inception Score and where to find them"
(2020), for (1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.blocks import BLOCKS, Blocks, Run
from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet import overlaps
from undrift.metrics.frechet_estimate import spread
from undrift.metrics.moments import Array, Moments
from undrift.metrics.symmetric import factor

_SMALLEST = 5  # the smallest sets hold one in this many samples,
_FULL_RANK = 2  # or this many per feature, if that is more
_POINTS = 15  # sizes of a line
_MANY = 512  # features, above which it has
_FEW_POINTS = 5
_TOGETHER = 1 << 22  # covariance values decomposed at once, 32 MiB


def frechet_infinity(
    features: NDArray[np.floating],
    reference: NDArray[np.floating] | Moments,
    seed: int = 0,
    points: int | None = None,
) -> Estimate:
    """The intercept of (1), with a 95 % interval.

    It estimates the distance between the distributions that both sets were drawn from if
    ``reference`` is features, and to exactly these moments if it is moments. It may be negative.

    Args:
        features: (N, D) of the samples, N >= 4 (D + 1): line (1) bends where n is near D.
        reference: (M, D) features, M likewise, or moments.
        seed: of the dealing.
        points: sizes that the line goes through at the most, 2 to 17; by default 15, and 5 of more
            than 512 features, where a distance takes a second and more: equation (2) is hardly
            smaller for many sizes than for few. The cost is about 40 distances for 15 of them, and
            13 for 5.

    Raises:
        UsageError: too few samples, different numbers of features, or too few or many points.
    """
    made = _Extrapolated.of(features, reference, seed, points)
    x, y, whole = made.x, made.y, made.distances[-1]  # the last run is everything
    own = spread(x, reference if isinstance(reference, Moments) else Moments.of(reference))
    linear, weight = own.linear / len(x), 1 / len(x)
    if y is not None:
        linear += spread(y, Moments.of(x)).linear / len(y)
        weight += 1 / len(y)
    pairs = 2.0 * (own.pairs or 0.0) * weight**2
    second_order = pairs * made.line.repeats()
    return Estimate.score(
        made.intercept,
        linear - 2.0 * pairs + second_order,
        float(linear / whole) if whole > 0 else 0.0,
        second_order,
        "score interval, influence function of both orders through the extrapolation; "
        f"reference {'fixed' if y is None else 'redrawn too'}",
    )


def fewest_to_extrapolate(dimension: int) -> int:
    """Rows that either set needs."""
    return max(2 * BLOCKS, 2 * _FULL_RANK * (dimension + 1))


def extrapolated_distance(
    features: NDArray[np.floating], reference: NDArray[np.floating] | Moments, seed: int = 0
) -> float:
    """The value of `frechet_infinity` without its interval, for half the cost or less.

    Raises:
        UsageError: too few samples, or different numbers of features.
    """
    return _Extrapolated.of(features, reference, seed).intercept


@dataclass(frozen=True)
class _Extrapolated:
    """Two sets, and the distances that the line goes through.

    Attributes:
        x: (N, D) samples.
        y: (M, D) reference; None where it is moments.
        line: of sizes.
        distances: (r,) of its runs.
    """

    x: Array
    y: Array | None
    line: _Line
    distances: Array

    @classmethod
    def of(
        cls,
        features: NDArray[np.floating],
        reference: NDArray[np.floating] | Moments,
        seed: int,
        points: int | None = None,
    ) -> _Extrapolated:
        """The distances of ``features`` to ``reference``, see `frechet_infinity`."""
        x = _checked(features, "samples")
        fixed = reference if isinstance(reference, Moments) else None
        y = None if isinstance(reference, Moments) else _checked(reference, "reference images")
        size = reference.mean.size if isinstance(reference, Moments) else reference.shape[1]
        if size != x.shape[1]:
            raise UsageError(
                f"features of {x.shape[1]} and {size} dimensions cannot be compared: use one "
                "extractor"
            )
        if points is None:
            points = _POINTS if size <= _MANY else _FEW_POINTS
        if not 2 <= points <= BLOCKS - BLOCKS // _SMALLEST + 1:
            raise UsageError(f"{points} points: wanted 2 to 17 sizes to lay a line through")
        fewest = len(x) if y is None else min(len(x), len(y))
        line = _Line.through(max(1 / _SMALLEST, _FULL_RANK * (size + 1) / fewest), points)
        first = Blocks.dealt(x, seed, "samples")
        second = None if y is None else Blocks.dealt(y, seed, "reference")
        return cls(x, y, line, _distances(first, second, fixed, line.runs))

    @property
    def intercept(self) -> float:
        """That of equation (1)."""
        return self.line.intercept(self.distances)


@dataclass(frozen=True)
class _Line:
    """The sets that a line goes through.

    Attributes:
        runs: blocks of each set.
        lengths: number of blocks in each.
    """

    runs: list[Run]
    lengths: NDArray[np.int64]

    @classmethod
    def through(cls, share: float, points: int) -> _Line:
        """Sets of at least ``share`` of the blocks, of up to ``points`` sizes."""
        smallest = min(math.ceil(share * BLOCKS), BLOCKS // 2)
        sizes = np.unique(np.round(np.linspace(smallest, BLOCKS, points)).astype(int))
        runs = [run for size in sizes.tolist() for run in _runs(size)]
        return cls(runs, np.array([run.length for run in runs]))

    def intercept(self, distances: Array) -> float:
        """Equation (1) for the ``distances`` of the runs: mean over each size, then the line."""
        sizes = np.unique(self.lengths)
        means = np.array([distances[self.lengths == size].mean() for size in sizes])
        x = 1.0 / sizes
        slope = ((x - x.mean()) * means).sum() / ((x - x.mean()) ** 2).sum()
        return float(means.mean() - slope * x.mean())

    def repeats(self) -> float:
        """Mean square of C_bc of equation (2)."""
        weights = [self.intercept(row) for row in np.eye(len(self.runs))]
        table = np.zeros((BLOCKS, BLOCKS))
        for weight, run in zip(weights, self.runs, strict=True):
            table[np.ix_(run.blocks, run.blocks)] += weight * BLOCKS**2 / run.length**2
        return float((table**2).mean())


def _checked(features: NDArray[np.floating], what: str) -> Array:
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2:
        raise UsageError(f"features have shape {rows.shape}: give an array (n, D)")
    if not np.isfinite(rows).all():
        raise UsageError("features hold NaN or infinity: check the images they were made from")
    wanted = fewest_to_extrapolate(rows.shape[1])
    if len(rows) < wanted:
        raise UsageError(
            f"{len(rows)} {what} are too few to extrapolate in {rows.shape[1]} dimensions: "
            f"needs {wanted}; take more, or a smaller feature space"
        )
    return rows


def _runs(length: int) -> list[Run]:
    """``ceil(B / length)`` runs of ``length`` blocks, evenly spread."""
    count = math.ceil(BLOCKS / length)
    return [Run(j * BLOCKS // count, length) for j in range(count)]


def _distances(
    first: Blocks, second: Blocks | None, fixed: Moments | None, runs: list[Run]
) -> Array:
    """Frechet distances (r,) of ``runs`` of ``first`` to those of ``second``, or to ``fixed``."""
    size = first.centre.size
    step = max(1, _TOGETHER // size**2)
    half = None if fixed is None else factor(fixed.covariance)
    parts = []
    for start in range(0, len(runs), step):
        some = runs[start : start + step]
        mean, covariance = first.of(some)
        if second is not None:
            other_mean, other = second.of(some)
            factors = factor(other)
        elif fixed is not None and half is not None:
            other_mean, other, factors = fixed.mean, fixed.covariance, half
        else:
            raise UsageError("no reference was given")
        parts.append(
            ((mean - other_mean) ** 2).sum(axis=-1)
            + np.trace(covariance, axis1=-2, axis2=-1)
            + np.trace(other, axis1=-2, axis2=-1)
            - 2.0 * overlaps(factors, covariance)
        )
    return np.concatenate(parts)
