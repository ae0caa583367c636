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

How far chance moves it follows from the first two derivatives of (1) in the first set. With the
eigenvectors Q and eigenvalues mu of ``F_2^T S_1 F_2``, and ``c = x - m_1``, ``z = Q^T F_2^T c``,

    psi(x)   = 2 c^T (m_1 - m_2) + |c|^2 - sum_a z_a^2 / sqrt(mu_a)                              (3)
    h(x, x') = sum_a z_a z'_a / sqrt(mu_a)
               + sum_ab (z_a z_b - mu_a [a=b]) (z'_a z'_b - mu_a [a=b]) W_ab,
    W_ab     = 1 / (2 sqrt(mu_a mu_b) (sqrt(mu_a) + sqrt(mu_b)))                                 (4)

reweighting images by 1 + w_i moves FD by ``sum_i w_i psi_i / n + sum_ij w_i w_j h_ij / n^2``. The
variance of (3) over the sample holds the noise of (4) twice over, so

    Var FD = v_1 + v_2,   v_2 = 2 E[h^2] / n^2,   v_1 = max(0, Var[psi] / n - 2 v_2)             (5)

where v_1 belongs to the linear part and vanishes for a perfect model, and v_2 is what is left then.

References: Dowson and Landau, "The Frechet distance between multivariate normal distributions"
(1982); Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium" (2017); Hampel, "The influence curve and its role in robust estimation" (1974), for
(3); Efron and Stein, "The jackknife estimate of variance" (1981), for what (5) takes away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.randomness import generator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and scatter of a set of features, mergeable, so that a stream needs no second pass.

    Attributes:
        count: n, number of rows seen.
        mean: (D,) float64.
        scatter: (D, D) float64, the sum over rows of (x - mean)(x - mean)^T.
    """

    count: int
    mean: Array
    scatter: Array

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Moments:
        """Moments of ``features`` (n, D), computed in float64.

        Raises:
            UsageError: features are not a finite (n, D) array with n >= 1.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] == 0:
            raise UsageError(f"features have shape {rows.shape}: give an array (n, D) with n >= 1")
        if not np.isfinite(rows).all():
            raise UsageError("features hold NaN or infinity: check the images they were made from")
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(rows.shape[0], mean, centred.T @ centred)

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets together (Chan, Golub and LeVeque 1983): exact, any order."""
        if self.mean.shape != other.mean.shape:
            raise UsageError(
                f"features of {self.mean.size} and {other.mean.size} dimensions cannot be merged: "
                "use one extractor"
            )
        count = self.count + other.count
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        between = np.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Array:
        """(D, D) unbiased covariance; needs two rows."""
        if self.count < 2:
            raise UsageError("a covariance needs at least 2 images: 1 given")
        return self.scatter / (self.count - 1)


def frechet_distance(first: Moments | Array, second: Moments | Array) -> float:
    """Equation (1), never negative; symmetric up to rounding.

    Args:
        first: moments, or features (n, D), which are faster and more exact where n <= D.
        second: likewise.

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    one, other = _side(first), _side(second)
    _check_same(one.moments, other.moments)
    a, b = one.moments.covariance, other.moments.covariance
    shift = one.moments.mean - other.moments.mean
    fixed = float(shift @ shift + np.trace(a) + np.trace(b))
    return max(0.0, fixed - 2.0 * _overlap(one, other))


def frechet_estimate(features: NDArray[np.floating], reference: Moments | Array) -> Estimate:
    """Equation (1) between ``features`` (n, D) and ``reference``, with a 95 % interval.

    The interval is about the expectation of the estimate at this n, with its bias, over redraws of
    the first set; the reference is held fixed. Its variance is (5) for n > 2 D. With fewer images
    the second derivative is not to be had from the sample, and the variance is that of (3) alone,
    which is too wide for near-perfect models, by up to sqrt(2).

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    rows = np.asarray(features, dtype=np.float64)
    one, other = _side(rows), _side(reference)
    _check_same(one.moments, other.moments)
    count, size = rows.shape
    a, b = one.moments.covariance, other.moments.covariance
    shift = one.moments.mean - other.moments.mean
    centred = rows - one.moments.mean
    linear = 2.0 * centred @ shift + np.einsum("nd,nd->n", centred, centred)
    pairs = None
    if count <= size:
        # x_i^T T x_i = (n - 1) K_ii for the root K of the images' (n, n) matrix in (2)
        values, vectors = np.linalg.eigh(_symmetric(_sandwich(centred.T / np.sqrt(count - 1), b)))
        roots = np.sqrt(_cleared(values))
        transported = (count - 1) * (vectors**2 @ roots)
    else:
        half = factor(b)
        values, vectors = np.linalg.eigh(_sandwich(half, a))
        kept = _cleared(values) > 0
        mu, vectors = values[kept], vectors[:, kept]
        roots = np.sqrt(mu)
        z = centred @ (half @ vectors)
        transported = z**2 @ (1.0 / roots)
        if count > 2 * size:
            pairs = _mean_square(z, mu)
    value = float(shift @ shift + np.trace(a) + np.trace(b) - 2.0 * roots.sum())  # (1), (2)
    variance = float((linear - transported).var(ddof=1)) / count  # (3)
    if pairs is not None:
        second = 2.0 * pairs / count**2
        variance = max(0.0, variance - 2.0 * second) + second  # (5)
    return Estimate.normal(
        max(0.0, value),
        float(np.sqrt(variance)),
        "influence function over samples; reference fixed; bias not removed",
        lowest=0.0,
    )


def factor(covariance: Array) -> Array:
    """F (..., D, D) with ``F F^T`` = ``covariance`` (..., D, D), also if rank-deficient."""
    try:
        return np.linalg.cholesky(covariance).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(_symmetric(covariance))
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :], np.float64)


def overlaps(factors: Array, covariances: Array) -> Array:
    """Equation (2) for ``factors`` (..., D, r) of one side, ``covariances`` (..., D, D): (...)."""
    values = np.linalg.eigvalsh(_sandwich(factors, covariances)).astype(np.float64, copy=False)
    return np.sqrt(_cleared(values)).sum(axis=-1)


@dataclass(frozen=True)
class _Side:
    """Moments, and the centred rows over sqrt(n - 1) where they are the smaller factor."""

    moments: Moments
    rows: Array | None = None


def _side(given: Moments | Array) -> _Side:
    if isinstance(given, Moments):
        return _Side(given)
    features = np.asarray(given, dtype=np.float64)
    moments = Moments.of(features)
    if not 2 <= moments.count <= moments.mean.size:
        return _Side(moments)
    return _Side(moments, (features - moments.mean) / np.sqrt(moments.count - 1))


def _check_same(first: Moments, second: Moments) -> None:
    if first.mean.shape != second.mean.shape:
        raise UsageError(
            f"features of {first.mean.size} and {second.mean.size} dimensions cannot be compared: "
            "use one extractor"
        )


def _overlap(one: _Side, other: _Side) -> float:
    if one.rows is not None and other.rows is not None:
        return float(np.linalg.svd(one.rows @ other.rows.T, compute_uv=False).sum())  # (2)
    if one.rows is not None:
        return float(overlaps(one.rows.T, other.moments.covariance))
    if other.rows is not None:
        return float(overlaps(other.rows.T, one.moments.covariance))
    return float(overlaps(factor(other.moments.covariance), one.moments.covariance))


def second_order(z: Array, others: Array, mu: Array) -> Array:
    """Equation (4), h, for pairs of rows (p, r) of z, with eigenvalues ``mu`` (r,): (p,)."""
    roots = np.sqrt(mu)
    weights = 0.5 / (np.outer(roots, roots) * (roots[:, None] + roots[None, :]))
    own = np.diag(weights) * mu
    product = z * others
    # the sum over a and b, multiplied out
    both = np.einsum("pa,pa->p", product @ weights, product)
    return product @ (1.0 / roots) + both - (z**2 + others**2) @ own + own @ mu


def _mean_square(z: Array, mu: Array, most: int = 4096) -> float:
    """E[h^2] over random pairs of different rows: rows in order may come class by class."""
    count = len(z)
    order = torch.randperm(count, generator=generator(0, "frechet pairs")).numpy()
    i, j = order[:most], np.roll(order, 1)[:most]
    return float((second_order(z[i], z[j], mu) ** 2).mean())


def _sandwich(factors: Array, covariances: Array) -> Array:
    return _symmetric(np.swapaxes(factors, -1, -2) @ covariances @ factors)


def _symmetric(matrix: Array) -> Array:
    return (matrix + np.swapaxes(matrix, -1, -2)) / 2.0


def _cleared(values: NDArray[np.floating]) -> Array:
    """Eigenvalues (..., D), those that rounding made set to zero: their roots are not small."""
    largest = values.max(axis=-1, keepdims=True, initial=0.0)
    tolerance = largest * values.shape[-1] * np.finfo(np.float64).eps
    return np.where(values > tolerance, values, 0.0).astype(np.float64, copy=False)
