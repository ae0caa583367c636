r"""Maximum mean discrepancy between two sets of features: KID and CMMD.

For a kernel k and distributions P of x (n rows) and Q of y (m rows),

.. math:: MMD^2 = E\,k(x, x') + E\,k(y, y') - 2\,E\,k(x, y)                                      (1)

estimated without bias by the U-statistic, means over all pairs of different rows:

    U = 1/n(n-1) sum_{i!=j} k(x_i, x_j) + 1/m(m-1) sum_{i!=j} k(y_i, y_j)
        - 2/nm sum_ij k(x_i, y_j)                                                                (2)

It may be negative, and is about as often as not for a perfect model. Kernels, for D features:

    KID:  k(x, y) = (x.y / D + 1)^3                                                              (3)
    CMMD: k(x, y) = exp(-|x - y|^2 / 2 b^2), times 1000                                          (4)

The parts of Hoeffding's decomposition of (2) are uncorrelated, so its variance is exactly

    Var U = 4/n Var g(x) + 4/m Var g(y) + 2 q_xx / n(n-1) + 2 q_yy / m(m-1) + 4 q_xy / nm        (5)

where g(z) = E k(z, x) - E k(z, y), and q = E[k~^2] of the kernel less its means over either side.
The parts in g are zero where P = Q, the others are not. The sample variance of

    a_i = mean_{j != i} k(x_i, x_j) - mean_j k(x_i, y_j)                                         (6)

is that of g(x) plus q_xx / (n-1) + q_xy / m, which is taken off again.

Near P = Q that difference is noise, and it moves with U itself: there U is sum_r l_r (z_r^2 - 1)
with z_r normal, the part in g estimated as 4 sum_r l_r^2 (z_r^2 - 1), and the regression of the
second on the first has the slope

    4 sum_r l_r^3 / sum_r l_r^2 = 4 (1/n + 1/m) tr K~^3 / tr K~^2                                (7)

with traces of the kernel's operator, which triples and pairs of different rows give. So the
variance that goes with a target t is (5) plus (7) times t - U, and not below its parts in q; the
interval is all t less than 1.96 such standard errors from U.

References: Gretton et al., "A kernel two-sample test" (2012), for (2); Binkowski et al.,
"Demystifying MMD GANs" (2018), for (3); Jayasumana et al., "Rethinking FID: towards a better
evaluation metric for image generation" (2024), for (4), whose code has the biased estimate;
Hoeffding, "A class of statistics with asymptotically normal distribution" (1948), for (5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.metrics.rows import pair_of_rows
from undrift.randomness import generator

Kernel = Callable[[Tensor, Tensor], Tensor]
_METHOD = "score interval, variance of the U-statistic of both orders; both sets redrawn"
_TRIPLES = 300  # rows of either set whose triples give (7)


@dataclass(frozen=True)
class SubsetDistance:
    """KID as it is usually reported.

    Attributes:
        mean: over subsets.
        deviation: standard deviation of the subsets' values (over their number, not one less); no
            confidence interval, as the subsets overlap and are smaller than the sets.
        subset_size: rows in each, drawn without replacement.
        subsets: how many.
    """

    mean: float
    deviation: float
    subset_size: int
    subsets: int


def kernel_distance(x: NDArray[np.floating], y: NDArray[np.floating], chunk: int = 256) -> Estimate:
    """KID: equation (2) with kernel (3) on all rows, with a 95 % interval from (5) and (7).

    Unbiased, so the interval is about (1) itself; both sets are taken as drawn at random.

    Args:
        x: (n, D) features, n >= 4.
        y: (m, D) features of the same extractor, m >= 4.
        chunk: rows of the kernel matrix held at once; memory is chunk x max(n, m).

    Raises:
        UsageError: shapes that do not fit, features that are not finite, or too few rows.
    """
    return _two_sample(_polynomial, x, y, chunk, 1.0)


def kernel_distances_without(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    groups: Sequence[NDArray[np.int64]],
    chunk: int = 256,
) -> list[float]:
    """The value of `kernel_distance` with each of ``groups`` of rows of ``x`` left out, in turn.

    All by one pass over the kernel matrix: the sum over pairs of which neither is in the group is
    that over all, less twice the group's rows, plus the pairs within it.

    Raises:
        UsageError: as for `kernel_distance`, or a group that leaves fewer than 2 rows.
    """
    a, b = pair_of_rows(x, y, fewest=4)
    own, mixed = _own(_polynomial, a, chunk).rows, _mixed(_polynomial, a, b, chunk).rows
    real = float(_own(_polynomial, b, chunk).rows.sum()) / (len(b) * (len(b) - 1))
    found = []
    for group in groups:
        rows, left = torch.from_numpy(group), len(a) - len(group)
        if left < 2:
            raise UsageError(f"{len(group)} of {len(a)} images left out: needs 2 that are left")
        within = float(_own(_polynomial, a[rows], chunk).rows.sum())
        pairs = float(own.sum()) - 2.0 * float(own[rows].sum()) + within
        between = float(mixed.sum()) - float(mixed[rows].sum())
        found.append(pairs / (left * (left - 1)) + real - 2.0 * between / (left * len(b)))
    return found


def gaussian_distance(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    bandwidth: float = 10.0,
    scale: float = 1000.0,
    chunk: int = 256,
) -> Estimate:
    """CMMD: ``scale`` times equation (2) with kernel (4), with a 95 % interval from (5) and (7).

    The original takes CLIP embeddings of length 1, its biased estimate is larger: by about 0.02 at
    1,000 images.

    Args:
        x: (n, D) features, n >= 4.
        y: (m, D) features of the same extractor, m >= 4.
        bandwidth: b of (4), in feature units.
        scale: factor of the result.
        chunk: rows of the kernel matrix held at once.

    Raises:
        UsageError: a bandwidth that is not positive, or as for `kernel_distance`.
    """
    if not bandwidth > 0:
        raise UsageError(f"bandwidth {bandwidth}: wanted a width above 0")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = torch.addmm((b * b).sum(dim=1)[None], a, b.T, alpha=-2.0)
        squares.add_((a * a).sum(dim=1)[:, None]).clamp_(min=0.0)
        return squares.mul_(-0.5 / bandwidth**2).exp_()  # equation (4)

    # moved to one centre, so that the differences of squares cancel as little as they can
    return _two_sample(kernel, x, y, chunk, scale, centred=True)


def subset_kernel_distance(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    subset_size: int = 1000,
    subsets: int = 100,
    seed: int = 0,
) -> SubsetDistance:
    """Mean of equation (2) with kernel (3) over random subsets, as other tools report KID.

    Raises:
        UsageError: fewer rows than ``subset_size``, or as for `kernel_distance`.
    """
    first, second = pair_of_rows(x, y, fewest=2)
    if not 2 <= subset_size <= min(len(first), len(second)) or subsets < 1:
        raise UsageError(
            f"{subsets} subsets of {subset_size} of {len(first)} and {len(second)} images: a "
            "subset needs 2 or more and at most all of either; choose smaller ones"
        )
    draws = generator(seed, "kernel subsets")
    values = []
    for _ in range(subsets):
        a, b = (
            rows[torch.randperm(len(rows), generator=draws)[:subset_size]]
            for rows in (first, second)
        )
        own = sum(
            float(k.sum() - k.diagonal().sum()) for k in (_polynomial(a, a), _polynomial(b, b))
        )
        mixed = float(_polynomial(a, b).mean())
        values.append(own / (subset_size * (subset_size - 1)) - 2.0 * mixed)
    return SubsetDistance(float(np.mean(values)), float(np.std(values)), subset_size, subsets)


def _polynomial(a: Tensor, b: Tensor) -> Tensor:
    base = (a @ b.T).div_(a.shape[1]).add_(1.0)
    return base * base * base  # equation (3)


@dataclass(frozen=True)
class _Sums:
    """A kernel matrix, summed up as its blocks come.

    Attributes:
        rows: (n,) sums of rows.
        columns: (m,) sums of columns.
        squares: sum of squares of all entries.
    """

    rows: Tensor
    columns: Tensor
    squares: float


def _two_sample(
    kernel: Kernel,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    chunk: int,
    scale: float,
    centred: bool = False,
) -> Estimate:
    a, b = pair_of_rows(x, y, fewest=4)
    if centred:
        centre = (a.mean(dim=0) + b.mean(dim=0)) / 2
        a, b = a - centre, b - centre
    n, m = len(a), len(b)
    mean_xx, q_xx = _within(sums := _own(kernel, a, chunk), n)
    rows_xx = sums.rows / (n - 1)
    mean_yy, q_yy = _within(sums := _own(kernel, b, chunk), m)
    rows_yy = sums.rows / (m - 1)
    mixed = _mixed(kernel, a, b, chunk)
    mean_xy, q_xy = _between(mixed, n, m)
    value = mean_xx + mean_yy - 2.0 * mean_xy  # equation (2)
    a_x, a_y = rows_xx - mixed.rows / m, rows_yy - mixed.columns / n  # equation (6)
    linear_x = float(a_x.var()) - q_xx / (n - 1) - q_xy / m
    linear_y = float(a_y.var()) - q_yy / (m - 1) - q_xy / n
    second = 2.0 * q_xx / (n * (n - 1)) + 2.0 * q_yy / (m * (m - 1)) + 4.0 * q_xy / (n * m)
    return Estimate.score(
        scale * value,
        scale**2 * (4.0 * linear_x / n + 4.0 * linear_y / m + second),  # equation (5)
        scale * 4.0 * (1 / n + 1 / m) * _largest(kernel, a, b),  # equation (7)
        scale**2 * second,
        _METHOD,
    )


def _largest(kernel: Kernel, *sets: Tensor) -> float:
    """``tr K~^3 / tr K~^2`` of (7): the eigenvalue that matters most, within the ``sets``."""
    cubes, squares = 0.0, 0.0
    for rows in sets:
        count = min(_TRIPLES, len(rows))
        order = torch.randperm(len(rows), generator=generator(0, "kernel triples"))[:count]
        table = kernel(rows[order], rows[order]).fill_diagonal_(0.0)
        # less its additive effects; without a diagonal, traces are of different rows only
        effects = table.sum(dim=1) / (count - 2)
        table += table.sum() / ((count - 1) * (count - 2)) - effects[:, None] - effects[None]
        table.fill_diagonal_(0.0)
        cubes += float(((table @ table) * table).sum()) / (count * (count - 1) * (count - 2))
        squares += float(table.square().sum()) / (count * (count - 1))
    return max(0.0, cubes / squares) if squares > 0 else 0.0


def _own(kernel: Kernel, rows: Tensor, chunk: int) -> _Sums:
    """Sums of the kernel matrix of ``rows`` with themselves, without its diagonal."""
    sums = torch.zeros(len(rows), dtype=torch.float64)
    squares = 0.0
    for start in range(0, len(rows), chunk):
        block = kernel(rows[start : start + chunk], rows[start:])  # the matrix is symmetric
        block.diagonal().zero_()
        size = len(block)
        sums[start : start + size] += block.sum(dim=1)
        sums[start + size :] += block[:, size:].sum(dim=0)
        squares += float(block[:, :size].square().sum() + 2.0 * block[:, size:].square().sum())
    return _Sums(sums, sums, squares)


def _mixed(kernel: Kernel, a: Tensor, b: Tensor, chunk: int) -> _Sums:
    rows, columns, squares = [], torch.zeros(len(b), dtype=torch.float64), 0.0
    for start in range(0, len(a), chunk):
        block = kernel(a[start : start + chunk], b)
        rows.append(block.sum(dim=1))
        columns += block.sum(dim=0)
        squares += float(block.square().sum())
    return _Sums(torch.cat(rows), columns, squares)


def _within(sums: _Sums, n: int) -> tuple[float, float]:
    """Mean of the entries off the diagonal, and q of (5) from what additive effects leave.

    The best additive fit mean + e_i + e_j to a symmetric (n, n) table without diagonal has
    e_i = (row sum - (n-1) mean) / (n-2), and leaves n (n-3) / 2 degrees of freedom.
    """
    mean = float(sums.rows.sum()) / (n * (n - 1))
    effects = (sums.rows - (n - 1) * mean) / (n - 2)
    left = sums.squares - n * (n - 1) * mean**2 - 2.0 * (n - 2) * float(effects.square().sum())
    return mean, max(0.0, left) / (n * (n - 3))


def _between(sums: _Sums, n: int, m: int) -> tuple[float, float]:
    """Mean of the (n, m) entries, and q of (5), with (n-1)(m-1) degrees of freedom."""
    mean = float(sums.rows.sum()) / (n * m)
    by_row, by_column = sums.rows / m - mean, sums.columns / n - mean
    left = sums.squares - n * m * mean**2
    left -= m * float(by_row.square().sum()) + n * float(by_column.square().sum())
    return mean, max(0.0, left) / ((n - 1) * (m - 1))
