"""Bounds of pixels that hold for new images: conformal risk control.

Bounds ``m +- lambda w`` about a guess m, with any widths w, miss a share of an image's pixels,

    R_i(lambda) = mean over pixels of [ |x - m| > lambda w ],                             (1)

which falls in lambda. With n calibration images and a new one, all exchangeable, the smallest
lambda for which

    (sum_i R_i(lambda) + 1) / (n + 1) <= 1 - c                                            (2)

misses at most a share 1 - c of the new image's pixels on average, whatever m and w are worth: poor
ones make wide bounds, not wrong ones.

Reference: Angelopoulos, Bates, Fisch, Lei and Schuster 2024, "Conformal Risk Control", theorem 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError


def fewest_images(coverage: float) -> int:
    """The fewest calibration images from which (2) has a solution.

    Raises:
        UsageError: unless the coverage is between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"interval {coverage:g}: give a share between 0 and 1, as 0.9")
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def conformal_scale(
    errors: NDArray[np.float64], widths: NDArray[np.float64], coverage: float
) -> float:
    """The smallest lambda of (2).

    Args:
        errors: |x - m| of n calibration images, (n, ...).
        widths: w, above 0, of the same shape.
        coverage: c.

    Raises:
        UsageError: for too few images.
    """
    n = len(errors)
    if n < fewest_images(coverage):
        raise UsageError(
            f"interval {coverage:g}: {n} calibration images, wanted at least "
            f"{fewest_images(coverage)}"
        )
    scores = np.sort((errors / widths).ravel())
    missed = ((n + 1) * (1 - coverage) - 1) / n  # the share of all pixels that may be missed
    place = math.ceil((1 - missed) * len(scores) - 1e-9) - 1
    return float(scores[max(0, place)])
