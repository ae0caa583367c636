r"""Frechet distance between two sets of features, each summarised by its mean and covariance.

Between N(m_1, S_1) and N(m_2, S_2), the squared 2-Wasserstein distance is

.. math:: FD = |m_1 - m_2|^2 + \mathrm{tr}(S_1) + \mathrm{tr}(S_2)
               - 2\,\mathrm{tr}\big((S_1^{1/2} S_2 S_1^{1/2})^{1/2}\big)                       (1)

Symbols: ``m`` (D,) means, ``S`` (D, D) covariances (divided by n - 1), ``n`` images, ``D``
features. The root in (1) is of a symmetric positive semi-definite matrix, so ``eigh`` gives it,
also when a covariance is rank-deficient; a general matrix square root does not (it fails in known
ways).

The estimate is biased upwards by about ``tr(S) D / 2n`` per side, which is why no distance is
reported without a floor: the same estimate for real images, at the same n.

References: Dowson and Landau, "The Frechet distance between multivariate normal distributions"
(1982); Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium" (2017). Influence function: derived below from the gradient of (1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

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


@dataclass(frozen=True)
class FrechetEstimate:
    """A Frechet distance and how well the first set's size fixes it.

    Attributes:
        value: FD, in squared feature units.
        standard_error: of ``value`` over redraws of the first set, the second held fixed.
    """

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the biased estimate: sampling noise only, the bias stays in it."""
        half = 1.959963984540054 * self.standard_error
        return max(0.0, self.value - half), self.value + half


def frechet_distance(first: Moments, second: Moments) -> float:
    """Equation (1), never negative; symmetric up to rounding.

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    if first.mean.shape != second.mean.shape:
        raise UsageError(
            f"features of {first.mean.size} and {second.mean.size} dimensions cannot be compared: "
            "use one extractor"
        )
    a, b = first.covariance, second.covariance
    root = _root(a)
    cross = _symmetric(root @ b @ root)
    overlap = np.sqrt(_cleared(np.linalg.eigvalsh(cross))).sum()
    shift = first.mean - second.mean
    return max(0.0, float(shift @ shift + np.trace(a) + np.trace(b) - 2.0 * overlap))


def frechet_estimate(features: NDArray[np.floating], reference: Moments) -> FrechetEstimate:
    """Equation (1) between ``features`` (n, D) and ``reference``, with its standard error.

    With the optimal map ``T = S_1^{-1/2} (S_1^{1/2} S_2 S_1^{1/2})^{1/2} S_1^{-1/2}``, the
    gradient of (1) is ``2 (m_1 - m_2)`` in m_1 and ``I - T`` in S_1, so one image x moves the
    distance by

        psi(x) / n,   psi(x) = 2 (m_1 - m_2)^T (x - m_1) + (x - m_1)^T (I - T) (x - m_1) - c    (2)

    and the standard error is ``sd(psi) / sqrt(n)``: a jackknife in closed form. Directions without
    variance in the first set are left out of T (pseudo-inverse).
    """
    rows = np.asarray(features, dtype=np.float64)
    first = Moments.of(rows)
    value = frechet_distance(first, reference)
    root, inverse_root = _root(first.covariance), _root(first.covariance, power=-0.5)
    middle = _root(_symmetric(root @ reference.covariance @ root))
    transport = inverse_root @ middle @ inverse_root
    centred = rows - first.mean
    linear = 2.0 * centred @ (first.mean - reference.mean)
    quadratic = np.einsum("ni,ij,nj->n", centred, np.eye(rows.shape[1]) - transport, centred)
    influence = linear + quadratic  # equation (2); the constant does not change its spread
    return FrechetEstimate(value, float(influence.std(ddof=1) / np.sqrt(first.count)))


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2.0


def _root(matrix: Array, power: float = 0.5) -> Array:
    """``matrix ** power`` of a positive semi-definite matrix, on its range."""
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    values = _cleared(values)
    powers = np.where(values > 0, np.where(values > 0, values, 1.0) ** power, 0.0)
    return (vectors * powers) @ vectors.T


def _cleared(values: NDArray[np.floating]) -> Array:
    """Eigenvalues, those that only rounding made set to zero: their roots would not be small."""
    tolerance = values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    return np.where(values > tolerance, values, 0.0).astype(np.float64)
