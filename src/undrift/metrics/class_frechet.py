"""Frechet distance class by class: which classes a model makes well.

For each class c, the distance between the features of the samples of class c and those of the
reference images labelled c. A class mean and covariance rest on fewer images than the whole set's,
so these distances carry more bias (about 2 d / n_c and more) and are compared with each other only
at equal counts. The mean over classes weighs each class alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Z95, Estimate
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.moments import Moments

_FEWEST = 2


@dataclass(frozen=True)
class ClassFrechet:
    """Frechet distances by class.

    Attributes:
        mean: over the classes measured; their intervals are independent, the reference is fixed.
        by_class: name of each class measured -> its distance.
        left_out: name of each class that was not measured -> why.
    """

    mean: Estimate
    by_class: dict[str, Estimate]
    left_out: dict[str, str]

    @property
    def values(self) -> dict[str, float]:
        """The distances alone, by name."""
        return {name: estimate.value for name, estimate in self.by_class.items()}


def class_frechet(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    reference_features: NDArray[np.floating],
    reference_labels: NDArray[np.integer],
    classes: Sequence[str],
) -> ClassFrechet:
    """Frechet distance between samples and reference images of each of ``classes``.

    A class with fewer than two images on either side has no covariance and is left out.

    Args:
        features: (n, D) of the samples.
        labels: (n,) the requested class of each, a position in ``classes``.
        reference_features: (m, D) of the reference images, from the same extractor.
        reference_labels: (m,) their labels.
        classes: names of the classes.

    Raises:
        UsageError: labels that do not fit, or no class with two images on both sides.
    """
    for given, rows in ((labels, features), (reference_labels, reference_features)):
        if given.shape != (len(rows),):
            raise UsageError(f"labels {given.shape} of {len(rows)} images: give one per image")
        if len(given) and not 0 <= given.min() <= given.max() < len(classes):
            raise UsageError(
                f"labels {given.min()} to {given.max()}: {len(classes)} classes were named"
            )
    by_class: dict[str, Estimate] = {}
    left_out: dict[str, str] = {}
    for label, name in enumerate(classes):
        here, there = features[labels == label], reference_features[reference_labels == label]
        if min(len(here), len(there)) < _FEWEST:
            left_out[name] = (
                f"{len(here)} samples and {len(there)} reference images: needs {_FEWEST} of each"
            )
            continue
        by_class[name] = frechet_estimate(here, Moments.of(there))
    if not by_class:
        raise UsageError("no class has two samples and two reference images: take more images")
    found = list(by_class.values())
    # half the width of an interval is not the same on both sides where it was cut at zero
    errors = np.array([(estimate.high - estimate.value) / Z95 for estimate in found])
    mean = Estimate.normal(
        float(np.mean([estimate.value for estimate in found])),
        float(np.sqrt((errors**2).sum())) / len(found),
        f"mean of {len(found)} independent classes; each: {found[0].method}",
        lowest=0.0,
    )
    return ClassFrechet(mean, by_class, left_out)
