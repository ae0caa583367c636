r"""Frechet distance between two sets of features, each summarised by its mean and covariance.

Between N(m_1, S_1) and N(m_2, S_2), the squared 2-Wasserstein distance is

.. math:: FD = |m_1 - m_2|^2 + \mathrm{tr}(S_1) + \mathrm{tr}(S_2)
               - 2\,\mathrm{tr}\big((S_1^{1/2} S_2 S_1^{1/2})^{1/2}\big)                       (1)

Symbols: ``m`` (D,) means, ``S`` (D, D) covariances (divided by n - 1), ``n`` images, ``D``
features. The last trace is the overlap. Any factors ``S = F F^T`` give it, because the product in
(1) has the non-zero eigenvalues of ``F_2^T S_1 F_2``:

    overlap = sum of the roots of the eigenvalues of F_2^T S_1 F_2 = nuclear norm of F_1^T F_2   (2)

One Cholesky factor and the eigenvalues of one symmetric matrix are enough for full covariances.
With fewer images than features, the centred rows over sqrt(n - 1) are a factor, and no (D, D)
matrix is needed. A general matrix square root (``sqrtm``) fails in known ways and is not used.

With n images on both sides the estimate is biased upwards, for unit Gaussians by
``2 D / n + D (D + 1) / 2n``, half of it from either side. That is why no distance is reported
without a floor: the same estimate for real images, at the same n.

References: Dowson and Landau, "The Frechet distance between multivariate normal distributions"
(1982); Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.moments import Array, Moments
from undrift.metrics.symmetric import (
    cleared,
    eigenvalues,
    factor,
    sandwich,
    triangular_factor,
    triangular_sandwich,
)


def frechet_distance(
    first: Moments | NDArray[np.floating], second: Moments | NDArray[np.floating]
) -> float:
    """Equation (1), never negative; symmetric up to rounding.

    Args:
        first: moments, or features (n, D), which are faster and more exact where n <= D.
        second: likewise.

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    one, other = _side(first), _side(second)
    check_same(one.moments, other.moments)
    a, b = one.moments.covariance, other.moments.covariance
    shift = one.moments.mean - other.moments.mean
    fixed = float(shift @ shift + np.trace(a) + np.trace(b))
    return max(0.0, fixed - 2.0 * _overlap(one, other))


def overlaps(factors: Array, covariances: Array) -> Array:
    """Equation (2) for ``factors`` (..., D, r) of one side, ``covariances`` (..., D, D): (...)."""
    return np.sqrt(cleared(eigenvalues(sandwich(factors, covariances)))).sum(axis=-1)


@dataclass(frozen=True)
class _Side:
    """Moments, and the centred rows over sqrt(n - 1) where they are the smaller factor."""

    moments: Moments
    rows: Array | None = None


def _side(given: Moments | NDArray[np.floating]) -> _Side:
    if isinstance(given, Moments):
        return _Side(given)
    features = np.asarray(given, dtype=np.float64)
    moments = Moments.of(features)
    if not 2 <= moments.count <= moments.mean.size:
        return _Side(moments)
    return _Side(moments, (features - moments.mean) / np.sqrt(moments.count - 1))


def check_same(first: Moments, second: Moments) -> None:
    """Refuse features of different spaces."""
    if first.mean.shape != second.mean.shape:
        raise UsageError(
            f"features of {first.mean.size} and {second.mean.size} dimensions cannot be compared: "
            "use one extractor"
        )


def _overlap(one: _Side, other: _Side) -> float:
    if one.rows is not None and other.rows is not None:
        product = torch.from_numpy(one.rows @ other.rows.T)
        return float(torch.linalg.svdvals(product).sum())  # (2)
    if one.rows is not None:
        return float(overlaps(one.rows.T, other.moments.covariance))
    if other.rows is not None:
        return float(overlaps(other.rows.T, one.moments.covariance))
    a, b = one.moments.covariance, other.moments.covariance
    half = triangular_factor(b)
    if half is None:
        return float(overlaps(factor(b), a))
    return float(np.sqrt(cleared(eigenvalues(triangular_sandwich(half, a)))).sum())
