"""Label accuracy: how often a classifier agrees with the label that was asked for.

The share of a Bernoulli event comes with Wilson's interval: with ``p`` the observed share of ``n``
and ``z`` the normal quantile,

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)                                    (1)

which stays inside [0, 1] and is honest near 0 and 1, where ours usually are. The classifier is held
fixed: its own mistakes are in the value, and its accuracy on real images beside it says how large
they are.

Reference: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

if TYPE_CHECKING:
    from undrift.metrics.estimate import Estimate

_Z95 = 1.959963984540054


def wilson_interval(hits: float, count: float, z: float = _Z95) -> tuple[float, float]:
    """Equation (1), as (low, high); an effective ``count`` need not be whole.

    Raises:
        UsageError: a share of nothing, or more hits than there were chances.
    """
    if not count > 0 or not 0 <= hits <= count:
        raise UsageError(f"a share of {hits} in {count}: needs 0 <= hits <= count and count > 0")
    p = hits / count
    centre = p + z * z / (2 * count)
    spread = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # at 0 and 1 rounding would leave the value itself just outside
    return max(0.0, min(p, (centre - spread) / scale)), min(1.0, max(p, (centre + spread) / scale))


def label_accuracy(predicted: NDArray[np.integer], asked: NDArray[np.integer]) -> Estimate:
    """Share of images whose ``predicted`` label (n,) equals the one ``asked`` for (n,).

    Raises:
        UsageError: the arrays differ in shape, or hold nothing.
    """
    # imported here, because an estimate is made of wilson_interval
    from undrift.metrics.estimate import Estimate

    _same_shape(predicted, asked)
    return Estimate.wilson(int((predicted == asked).sum()), len(asked), "images")


def per_class_accuracy(
    predicted: NDArray[np.integer], asked: NDArray[np.integer], classes: int
) -> dict[int, Estimate]:
    """`label_accuracy` among the images asked for as each class; others are absent.

    Args:
        predicted: (n,) labels a classifier gives.
        asked: (n,) labels asked for, in [0, classes).
        classes: number of classes.

    Raises:
        UsageError: the arrays differ in shape, or a label outside [0, classes).
    """
    _same_shape(predicted, asked)
    if asked.min() < 0 or asked.max() >= classes:
        raise UsageError(f"labels {asked.min()} to {asked.max()}: {classes} classes were named")
    return {
        label: label_accuracy(predicted[asked == label], asked[asked == label])
        for label in np.unique(asked).tolist()
    }


def _same_shape(predicted: NDArray[np.integer], asked: NDArray[np.integer]) -> None:
    if predicted.shape != asked.shape or predicted.ndim != 1 or len(asked) == 0:
        raise UsageError(
            f"labels of shapes {predicted.shape} and {asked.shape}: give two arrays (n,), n >= 1"
        )
