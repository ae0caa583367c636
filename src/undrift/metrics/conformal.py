"""Bounds of pixels that hold for new images: conformal risk control.

Bounds ``m +- lambda w`` about a guess m, with any widths w, miss a share of an image's pixels,

    R_i(lambda) = mean over pixels of [ |x - m| > lambda w ],                             (1)

which falls in lambda; pixels of an image that are known count for nothing. With n calibration
images and a new one, all exchangeable, the smallest lambda for which

    (sum_i R_i(lambda) + 1) / (n + 1) <= 1 - c                                            (2)

misses at most a share 1 - c of the new image's pixels on average, whatever m and w are worth: poor
ones make wide bounds, not wrong ones.

Reference: Angelopoulos, Bates, Fisch, Lei and Schuster 2024, "Conformal Risk Control", theorem 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

LEAST = 1.0
"""Pixel values that are added to a standard deviation: of few results it may be 0 by chance."""


def fewest_images(coverage: float) -> int:
    """The fewest calibration images from which (2) has a solution.

    Raises:
        UsageError: unless the coverage is between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"interval {coverage:g}: give a share between 0 and 1, as 0.9")
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def moments(results: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (N, ...) of each image's results (N, V, ...), V at least 2."""
    each = results.astype(np.float64)
    return each.mean(1), each.std(1, ddof=1)


def widths_of(std: NDArray[np.float64]) -> NDArray[np.float64]:
    """The widths w of results with these standard deviations, in pixel values."""
    return std + LEAST


def scale_of(
    truth: NDArray[Any],
    results: NDArray[Any],
    coverage: float,
    where: NDArray[np.bool_] | None = None,
) -> float:
    """Lambda of bounds ``mean +- lambda w`` of results, from images that are known.

    Args:
        truth: pixel values of the images, (N, ...).
        results: of each, (N, V, ...).
        coverage: c.
        where: pixels that count, as in `conformal_scale`.

    Raises:
        UsageError: for too few images.
    """
    mean, std = moments(results)
    return conformal_scale(np.abs(truth - mean), widths_of(std), coverage, where)


def mean_of_each(
    values: NDArray[Any], where: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The mean over each image's pixels that count, (N,), of values (N, ...).

    Raises:
        UsageError: for an image in which none does.
    """
    weights = _weights(values.shape, where)
    return (values * weights).reshape(len(values), -1).sum(1)


def conformal_scale(
    errors: NDArray[np.float64],
    widths: NDArray[np.float64],
    coverage: float,
    where: NDArray[np.bool_] | None = None,
) -> float:
    """The smallest lambda of (2).

    Args:
        errors: |x - m| of n calibration images, (n, ...).
        widths: w, above 0, of the same shape.
        coverage: c.
        where: the pixels that count, broadcastable to the errors; None: all.

    Raises:
        UsageError: for too few images, or one in which no pixel counts.
    """
    n = len(errors)
    if n < fewest_images(coverage):
        raise UsageError(
            f"interval {coverage:g}: {n} calibration images, wanted at least "
            f"{fewest_images(coverage)}"
        )
    scores = (errors / widths).ravel()
    order = np.argsort(scores)
    held = _weights(errors.shape, where).ravel()[order].cumsum()  # sum of 1 - R_i
    missed = (n + 1) * (1 - coverage) - 1  # the sum of R_i that may be
    place = int(np.searchsorted(held, n - missed - 1e-9 * n))
    return float(scores[order[min(place, len(order) - 1)]])


def _weights(shape: tuple[int, ...], where: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Of each pixel in the mean over its image: 1 over how many count there, or 0."""
    counts = np.broadcast_to(True if where is None else where, shape)
    of_each = counts.reshape(len(counts), -1).sum(1)
    if not of_each.all():
        raise UsageError(
            f"interval: {(of_each == 0).sum()} of {len(counts)} images have no pixel that counts"
        )
    return counts / of_each.reshape(-1, *(1,) * (len(shape) - 1))
