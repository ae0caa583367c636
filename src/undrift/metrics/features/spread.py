"""Whether images, or features, differ: a space fitted on copies of one image has no unit.

Distances are in units of the spread of the training images. Where there is none, what rounding
leaves of it would be the unit, and every sample a million million of these away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.wording import plural

_ROUNDING = 1e-6
"""Share of the largest feature below which differences are float32 rounding."""

_BLOCK = 256


def require_different(
    images: NDArray[np.uint8], what: str, advice: str = "give images that differ"
) -> None:
    """Refuse ``images`` (n, H, W, C) that hardly differ as what ``what`` is fitted on.

    They differ if their root mean square distance to their mean is at least half a level.

    Raises:
        UsageError: they are all the same, or as good as.
    """
    count, squares, seen = len(images), 0.0, 0
    total = np.zeros(images[:1].size, np.int64)
    for start in range(0, count, _BLOCK):
        rows = images[start : start + _BLOCK].reshape(-1, total.size).astype(np.int64)
        total += rows.sum(axis=0)
        squares += float((rows * rows).sum())
        seen += len(rows)
        if squares - float((total / seen) @ total) >= count / 4:  # it only grows with more rows
            return
    raise UsageError(
        f"{what} of {plural(count, 'image')} that are all the same, or as good as: they have no "
        f"spread to measure distances in; {advice}"
    )


def constant(features: NDArray[np.floating]) -> bool:
    """Whether the rows of ``features`` (n, D) differ by no more than rounding."""
    if len(features) < 2:
        return False
    apart = np.ptp(features, axis=0).max(initial=0.0)
    return bool(apart <= _ROUNDING * np.abs(features).max(initial=0.0))
