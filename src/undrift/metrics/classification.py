"""Label accuracy: how often a classifier agrees with the requested label.

The classifier is held fixed: its own mistakes are in the value, and its accuracy on real images
beside it says how large they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate


def label_accuracy(predicted: NDArray[np.integer], requested: NDArray[np.integer]) -> Estimate:
    """Share of images whose ``predicted`` label (n,) equals the ``requested`` one (n,).

    Raises:
        UsageError: the arrays differ in shape, or hold nothing.
    """
    _same_shape(predicted, requested)
    return Estimate.wilson(
        int((predicted == requested).sum()), len(requested), "images; classifier fixed"
    )


def per_class_accuracy(
    predicted: NDArray[np.integer], requested: NDArray[np.integer], classes: int
) -> dict[int, Estimate]:
    """`label_accuracy` among the images requested of each class; others are absent.

    Args:
        predicted: (n,) labels a classifier gives.
        requested: (n,) requested labels, in [0, classes).
        classes: number of classes.

    Raises:
        UsageError: the arrays differ in shape, or a label outside [0, classes).
    """
    _same_shape(predicted, requested)
    if requested.min() < 0 or requested.max() >= classes:
        raise UsageError(
            f"labels {requested.min()} to {requested.max()}: {classes} classes were named"
        )
    return {
        label: label_accuracy(predicted[requested == label], requested[requested == label])
        for label in np.unique(requested).tolist()
    }


def _same_shape(predicted: NDArray[np.integer], requested: NDArray[np.integer]) -> None:
    if predicted.shape != requested.shape or predicted.ndim != 1 or len(requested) == 0:
        raise UsageError(
            f"labels of shapes {predicted.shape} and {requested.shape}: "
            "give two arrays (n,), n >= 1"
        )
