r"""Vendi score: how many different images a set amounts to.

For n features with the (n, n) table K of their similarities, K_ii = 1, and lambda the eigenvalues
of K / n, which are non-negative and sum to one,

.. math:: V = \exp\Big(-\sum_k \lambda_k \log \lambda_k\Big)                                     (1)

in [1, n]: 1 if all features point one way, n if all are orthogonal. With the cosine similarity and
X the rows scaled to length 1, ``K / n = X X^T / n`` has the non-zero eigenvalues of the (D, D)
matrix ``X^T X / n``, which is taken where D < n. V has no reference: noise has a high score.

The interval is a delete-a-group jackknife's. (The derivative of (1), which would be cheaper, gives
intervals that are too narrow where n is not far above D.) V of a finite set is
biased downwards; the interval is about its expectation at this n.

References: Friedman and Dieng, "The Vendi score: a diversity evaluation metric for machine
learning" (2023), for (1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.metrics.jackknife import GROUPS, groups, half_width
from undrift.metrics.moments import Array
from undrift.metrics.symmetric import eigenvalues

Similarity = Callable[[Array], Array]


def vendi(
    features: NDArray[np.floating], kernel: Literal["cosine"] | Similarity = "cosine"
) -> Estimate:
    """Equation (1), a number of images in [1, n], with a 95 % interval.

    Args:
        features: (n, D), n >= 20; a row of zeros has no direction and is refused by "cosine".
        kernel: "cosine", or what makes the positive semi-definite (n, n) table of similarities from
            the features, with ones on its diagonal; that table is kept whole.

    Raises:
        UsageError: features that are not a finite (n, D) array, or not a table of similarities.
    """
    rows = _checked(features)
    count = len(rows)
    parts = groups(count, 0, "vendi groups")
    if kernel == "cosine":
        rows = _directions(rows)
        if rows.shape[1] < count:
            scatter = rows.T @ rows
            value = _score(scatter / count)
            less = ((scatter - rows[part].T @ rows[part]) / (count - len(part)) for part in parts)
            return _estimate(value, [_score(one) for one in less], count)
        table = rows @ rows.T
    else:
        table = _table(kernel(rows), count)
    kept = (np.delete(np.arange(count), part) for part in parts)
    left_out = [_score(table[np.ix_(rest, rest)] / len(rest)) for rest in kept]
    return _estimate(_score(table / count), left_out, count)


def vendi_score(features: NDArray[np.floating]) -> float:
    """The value of `vendi` with the cosine kernel, without its interval: a twentieth of the cost.

    Raises:
        UsageError: features that are not a finite (n, D) array, or without direction.
    """
    rows = _directions(_checked(features))
    count, size = rows.shape
    value = _score((rows.T @ rows if size < count else rows @ rows.T) / count)
    return min(max(1.0, value), float(count))


def _checked(features: NDArray[np.floating]) -> Array:
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < GROUPS:
        raise UsageError(
            f"features have shape {rows.shape}: give an array (n, D) with n >= {GROUPS}"
        )
    if not np.isfinite(rows).all():
        raise UsageError("features hold NaN or infinity: check the images they were made from")
    return rows


def _score(matrix: Array) -> float:
    """Equation (1) from a symmetric ``matrix`` with eigenvalues lambda."""
    values = eigenvalues(matrix)
    values = values[values > 0]  # 0 log 0 = 0; what rounding leaves below zero is zero
    return float(np.exp(-(values * np.log(values)).sum()))


def _estimate(value: float, left_out: list[float], count: int) -> Estimate:
    half = half_width(left_out)
    value = min(max(1.0, value), float(count))
    method = f"delete-a-group jackknife over samples, {GROUPS} groups; bias not removed"
    return Estimate(value, max(1.0, value - half), min(float(count), value + half), method)


def _directions(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise UsageError(
            f"{int((lengths == 0).sum())} of {len(rows)} features are zero and have no direction: "
            "take another extractor"
        )
    return rows / lengths


def _table(given: Array, count: int) -> Array:
    table = np.asarray(given, dtype=np.float64)
    if table.shape != (count, count) or not np.allclose(np.diagonal(table), 1.0):
        raise UsageError(
            f"similarities of shape {table.shape}: wanted ({count}, {count}) with a diagonal of 1"
        )
    return table
