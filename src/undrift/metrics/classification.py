"""Label accuracy: how often a classifier agrees with the label that was asked for.

The classifier is held fixed: its own mistakes are in the value, and its accuracy on real images
beside it says how large they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate


def label_accuracy(predicted: NDArray[np.integer], asked: NDArray[np.integer]) -> Estimate:
    """Share of images whose ``predicted`` label (n,) equals the one ``asked`` for (n,).

    Raises:
        UsageError: the arrays differ in shape, or hold nothing.
    """
    _same_shape(predicted, asked)
    return Estimate.wilson(int((predicted == asked).sum()), len(asked), "images; classifier fixed")


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
