r"""Memorization: does a model return its training images?

**Share.** Held-out images have near neighbours in the training set too. So the share counts samples
strictly nearer to a training image than 1 % of m held-out real images are: 1 % for a model that
makes new images, 100 % for one that replays. "Near" is `Neighbours.relative`, the distance in units
of the spacing of the training images around.

The threshold t is the r-th smallest held-out distance, r = ceil(0.01 m), so for samples drawn as
held-out images are, whatever their distribution, the n samples hold

    S ~ BetaBinomial(n, r, m - r + 1)                                                            (1)

below t (ties only make it fewer). The flag is the one-sided test of (1) at level 1 %. The interval
is about the share below the true 1 % quantile q. It has two sources: n samples, by Wilson, and t
for q, by the order statistics that hold q with 95 %, whose ranks are quantiles of
Binomial(m, 0.01); their distances from the share are added in squares on either side:

    low = p - sqrt((p - wilson_low)^2 + (p - p(t_low))^2), high likewise                         (2)

**C_T** tests whether samples are nearer to training images than held-out ones on the whole. Within
cells of the space, with U the number of pairs in which the sample (of n_c) is farther than the
held-out image (of m_c), ties counted half,

    Z_c = (U - n_c m_c / 2) / sqrt(n_c m_c (n_c + m_c + 1) / 12),   C_T = sum_c w_c Z_c          (3)

with w_c the share of held-out images in cell c. Far below 0: copying; far above: underfit.

**Authenticity** is the share of samples farther from their nearest training image than that image
is from its own nearest other: 50-60 % for new draws, 0 for copies.

A training image that is there ten times or more hides faint copies of it: all neighbours that make
the spacing are then as near as the first, and the relative distance is 1. Exact copies are still
found. `undrift inspect` reports duplicates.

C_T and authenticity are no flags: blur and a narrow choice of classes move them too.

References: Meehan et al., "A non-parametric test to detect data-copying in generative models"
(2020), for (3) and the comparison with held-out data; Alaa et al., "How faithful is your synthetic
data?" (2022), for authenticity; Zou and Donner, "Construction of confidence limits about effect
measures" (2008), for (2); DeLong et al., "Comparing the areas under two or more correlated receiver
operating characteristic curves" (1988), for the variance of U.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.metrics.nearest import Neighbours
from undrift.metrics.wilson import wilson_interval
from undrift.randomness import key

_QUANTILE = 0.01
_LEVEL = 0.01
_FEWEST_IN_CELL = 20


@dataclass(frozen=True)
class Memorization:
    """How many samples lie nearer to the training set than held-out images do.

    Attributes:
        share: of samples strictly under the threshold, 0.01 if the model makes new images.
        held_out: `held_out_share`: the floor.
        threshold: relative distance, in [0, 1].
        p_value: chance of so large a share if samples were drawn as held-out images are.
        exact: samples at distance 0.
        flagged: whether p_value is below 0.01.
    """

    share: Estimate
    held_out: Estimate | None
    threshold: float
    p_value: float
    exact: int
    flagged: bool


@dataclass(frozen=True)
class Pair:
    """A sample and the training image it comes nearest to.

    Attributes:
        sample: row of the sample.
        training: row of the training image.
        distance: between them, in pixel values for images.
        relative: the same in units of the spacing there, in [0, 1].
    """

    sample: int
    training: int
    distance: float
    relative: float


def memorized_share(samples: Neighbours, held_out: Neighbours) -> Memorization:
    """Share of ``samples`` strictly nearer to a training image than 1 % of ``held_out`` are.

    Both are looked up in the same training set by the same function. With fewer than 100 held-out
    images the threshold is the nearest of them; the test stays exact and loses power.

    Raises:
        UsageError: no rows on one side, or neighbours without spacing.
    """
    near, floor = samples.relative, np.sort(held_out.relative)
    n, m = len(near), len(floor)
    if n < 1 or m < 1:
        raise UsageError(f"memorization of {n} samples by {m} held-out images: needs some of each")
    rank = _rank(m)
    threshold = float(floor[rank - 1])
    hits = int((near < threshold).sum())
    p_value = _upper_tail(hits, n, rank, m - rank + 1)
    return Memorization(
        share=_share(near, floor, hits),
        held_out=None if m < 2 else held_out_share(held_out),
        threshold=threshold,
        p_value=p_value,
        exact=int((samples.distances == 0).sum()),
        flagged=p_value < _LEVEL,
    )


def held_out_share(held_out: Neighbours) -> Estimate:
    """Share of ``held_out`` images strictly nearer to a training image than 1 % of the others are.

    Each is measured by the threshold of the m - 1 others, as a new sample is by that of all m: by
    the threshold of all m, less than 1 % of these same m are nearer by definition, and of fewer
    than 100 none. So it has the mean that new real images have as samples, whatever their number.

    Raises:
        UsageError: fewer than two images, or neighbours without spacing.
    """
    near = np.sort(held_out.relative)
    if len(near) < 2:
        raise UsageError(f"{len(near)} held-out images: needs 2, to measure each by the others")
    # those nearer than the r-th of their others are the ones below number r + 1 of all
    hits = int((near < near[_rank(len(near) - 1)]).sum())
    return Estimate.wilson(hits, len(near), "held-out images")


def _rank(count: int) -> int:
    """``ceil(0.01 count)`` without its rounding."""
    return -(-count // 100)


def closest_pairs(samples: Neighbours, k: int = 16) -> list[Pair]:
    """The ``k`` samples nearest to a training image by relative distance, nearest first.

    Raises:
        UsageError: k < 1, or neighbours without spacing.
    """
    if k < 1:
        raise UsageError(f"{k} closest pairs: wanted at least 1")
    relative = samples.relative
    order = np.lexsort((samples.distances, relative))[:k]
    return [
        Pair(int(i), int(samples.indices[i]), float(samples.distances[i]), float(relative[i]))
        for i in order
    ]


def authenticity(samples: Neighbours, own_distances: NDArray[np.floating]) -> Estimate:
    """Share of ``samples`` farther from their nearest training row than that is from its own.

    Args:
        samples: nearest training row of each of n samples.
        own_distances: (n,) distance of that training row to its nearest other training row.

    Raises:
        UsageError: numbers of rows that differ.
    """
    if own_distances.shape != samples.distances.shape:
        raise UsageError(
            f"authenticity of {samples.distances.shape} samples by {own_distances.shape} "
            "distances: give one of each per sample"
        )
    further = int((samples.distances > own_distances).sum())
    return Estimate.wilson(further, len(own_distances), "samples; training set fixed")


def c_t(
    samples: NDArray[np.floating],
    held_out: NDArray[np.floating],
    sample_cells: NDArray[np.integer] | None = None,
    held_out_cells: NDArray[np.integer] | None = None,
) -> Estimate:
    """Equation (3), with DeLong's interval over both sets, the cells held fixed.

    Cells with fewer than 20 samples or held-out images are left out, and ``method`` says how many
    were used.

    Args:
        samples: (n,) distances to the nearest training row.
        held_out: (m,) the same of held-out images.
        sample_cells: (n,) cell of each sample, as `assign_cells` gives; default one cell.
        held_out_cells: (m,) cell of each held-out image.

    Raises:
        UsageError: shapes that differ, or no cell with enough of both.
    """
    mine = np.zeros(len(samples), np.int64) if sample_cells is None else sample_cells
    theirs = np.zeros(len(held_out), np.int64) if held_out_cells is None else held_out_cells
    if mine.shape != samples.shape or theirs.shape != held_out.shape or samples.ndim != 1:
        raise UsageError(
            f"C_T of distances {samples.shape}, {held_out.shape} in cells {mine.shape}, "
            f"{theirs.shape}: give one cell per distance"
        )
    total, value, variance, used = 0.0, 0.0, 0.0, 0
    cells = np.union1d(mine, theirs)
    for cell in cells:
        here, there = samples[mine == cell], held_out[theirs == cell]
        if min(len(here), len(there)) < _FEWEST_IN_CELL:
            continue
        z, spread = _mann_whitney(here, there)
        weight = float(len(there))
        total, used = total + weight, used + 1
        value, variance = value + weight * z, variance + (weight * spread) ** 2
    if used == 0:
        raise UsageError(
            f"C_T of {len(samples)} samples and {len(held_out)} held-out images: needs a cell with "
            f"{_FEWEST_IN_CELL} of both; take more images or fewer cells"
        )
    return Estimate.normal(
        value / total,
        sqrt(variance) / total,
        f"DeLong, {used} of {len(cells)} cells of 20 and more; cells and training set fixed",
    )


def assign_cells(
    training: NDArray[np.generic], *others: NDArray[np.generic], cells: int = 3, seed: int = 0
) -> list[NDArray[np.int64]]:
    """K-means cells made of ``training`` (m, D): the cell of each row of it, then of ``others``.

    Args:
        training: rows that the cells are made of.
        others: rows (n, D) to be put into the same cells.
        cells: how many; fewer where ``training`` has not so many different rows.
        seed: of the starting means.

    Returns:
        One array (m,) or (n,) of cells for each argument, in their order.

    Raises:
        UsageError: more cells than training rows.
    """
    from sklearn.cluster import KMeans  # half a second, spared where no cells are needed

    if not 1 <= cells <= len(training):
        raise UsageError(f"{cells} cells of {len(training)} training images: needs 1 or more each")
    rows = training.astype(np.float64)
    different = len(np.unique(rows[:1000], axis=0))
    start = key(seed, "cells") % 2**32
    means = KMeans(min(cells, different), n_init="auto", random_state=start).fit(rows)
    return [
        np.asarray(means.predict(part.astype(np.float64)), dtype=np.int64)
        for part in (training, *others)
    ]


def _share(near: NDArray[np.float64], floor: NDArray[np.float64], hits: int) -> Estimate:
    """Equation (2)."""
    n, m = len(near), len(floor)
    value = hits / n
    low, high = wilson_interval(hits, n)
    first, last = _binomial_quantile(m, 0.025), _binomial_quantile(m, 0.975) + 1
    least = 0.0 if first == 0 else float((near < floor[first - 1]).mean())
    most = 1.0 if last > m else float((near < floor[last - 1]).mean())
    return Estimate(
        value,
        max(0.0, value - sqrt((value - low) ** 2 + max(0.0, value - least) ** 2)),
        min(1.0, value + sqrt((high - value) ** 2 + max(0.0, most - value) ** 2)),
        f"Wilson over {n} samples, order statistics over {m} held-out images; training set fixed",
    )


def _upper_tail(hits: int, n: int, a: int, b: int) -> float:
    """P(S >= hits) for equation (1) with parameters ``a``, ``b``."""

    def log_beta(p: float, q: float) -> float:
        return lgamma(p) + lgamma(q) - lgamma(p + q)

    constant = lgamma(n + 1) - log_beta(a, b)
    terms = (
        exp(constant - lgamma(s + 1) - lgamma(n - s + 1) + log_beta(s + a, n - s + b))
        for s in range(hits, n + 1)
    )
    return min(1.0, sum(terms))


def _binomial_quantile(count: int, level: float) -> int:
    """Smallest s with P(Binomial(count, 0.01) <= s) >= ``level``."""
    total = 0.0
    for s in range(count + 1):
        total += exp(
            lgamma(count + 1)
            - lgamma(s + 1)
            - lgamma(count - s + 1)
            + s * log(_QUANTILE)
            + (count - s) * log(1 - _QUANTILE)
        )
        if total >= level:
            return s
    return count


def _mann_whitney(
    samples: NDArray[np.floating], held_out: NDArray[np.floating]
) -> tuple[float, float]:
    """Z_c of equation (3), and its standard error by DeLong."""
    n, m = len(samples), len(held_out)
    x, y = np.sort(samples), np.sort(held_out)
    # share of the other side that each one is farther than, ties half
    above = (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / (2 * m)
    below = 1 - (np.searchsorted(x, y, "left") + np.searchsorted(x, y, "right")) / (2 * n)
    area = float(above.mean())
    scale = n * m / sqrt(n * m * (n + m + 1) / 12)
    variance = float(above.var(ddof=1)) / n + float(below.var(ddof=1)) / m
    return (area - 0.5) * scale, sqrt(variance) * scale
