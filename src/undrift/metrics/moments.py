"""Mean and covariance of a set of features, in one pass and in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

Array = NDArray[np.float64]

_BLOCK = 4096  # rows held in float64 at once


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
        """Moments of ``features`` (n, D), computed in float64, a block of rows at a time.

        Raises:
            UsageError: features are not a finite (n, D) array with n >= 1.
        """
        if features.ndim != 2 or features.shape[0] == 0:
            raise UsageError(
                f"features have shape {features.shape}: give an array (n, D) with n >= 1"
            )
        found = cls._of_block(features[:_BLOCK])
        for start in range(_BLOCK, len(features), _BLOCK):
            found = found.merge(cls._of_block(features[start : start + _BLOCK]))
        return found

    @classmethod
    def _of_block(cls, features: NDArray[np.floating]) -> Moments:
        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(axis=0)
        if not np.isfinite(mean).all():  # as soon as one row is not
            raise UsageError("features hold NaN or infinity: check the images they were made from")
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
