"""Label accuracy: how often a classifier agrees with the label that was asked for.

The share of a Bernoulli event comes with Wilson's interval: with ``p`` the observed share of ``n``
and ``z`` the normal quantile,

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)                                    (1)

which stays inside [0, 1] and is honest near 0 and 1, where ours usually are.

Reference: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """``hits`` of ``count``.

    Attributes:
        hits: how often the event happened.
        count: how often it could have, at least 1.
    """

    hits: int
    count: int

    def __post_init__(self) -> None:
        """Refuse a share of nothing."""
        if self.count < 1 or not 0 <= self.hits <= self.count:
            raise UsageError(
                f"a share of {self.hits} in {self.count}: needs 0 <= hits <= count, 1+"
            )

    @property
    def value(self) -> float:
        """The observed share, in [0, 1]."""
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Equation (1) at 95 %."""
        return wilson_interval(self.hits, self.count)


def wilson_interval(hits: int, count: int, z: float = _Z95) -> tuple[float, float]:
    """Equation (1), as (low, high)."""
    p = hits / count
    centre = p + z * z / (2 * count)
    spread = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def label_accuracy(predicted: NDArray[np.integer], asked: NDArray[np.integer]) -> Share:
    """Share of images whose ``predicted`` label (n,) equals the one ``asked`` for (n,).

    Raises:
        UsageError: the arrays differ in shape.
    """
    if predicted.shape != asked.shape or predicted.ndim != 1:
        raise UsageError(
            f"labels of shapes {predicted.shape} and {asked.shape}: give two arrays (n,)"
        )
    return Share(int((predicted == asked).sum()), len(asked))
