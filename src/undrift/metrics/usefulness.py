"""Train on generated, test on real: are the samples good enough to learn the classes from?

The classification accuracy score is the accuracy on held-out real images of a classifier that saw
generated images only. Missing modes, wrong labels and poor quality all lower it; so it is read
beside the accuracy of the same classifier trained on as many real images.

Reference: Ravuri and Vinyals, "Classification accuracy score for conditional generative models"
(2019).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.classification import label_accuracy
from undrift.metrics.estimate import Estimate
from undrift.metrics.features import DomainClassifier


def train_on_generated(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    real_images: NDArray[np.uint8],
    real_labels: NDArray[np.integer],
    *,
    classes: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    cache_directory: Path | None = None,
) -> Estimate:
    """Accuracy on real images of a classifier trained on ``images`` alone.

    With real training images in place of ``images`` this is the floor.

    Args:
        images: what to learn from, (n, H, W, C) uint8.
        labels: (n,) the requested class of each.
        real_images: held-out images (m, H, W, C) uint8 to test on, of the same size.
        real_labels: (m,) their labels.
        classes: number of classes; default what both sets' labels need.
        seed: of the classifier's weights and order.
        device: where to train and run.
        cache_directory: where classifiers are cached, default the ``features`` folder of the cache.

    Returns:
        Wilson's interval over the held-out images, the trained classifier held fixed: another
        seed's classifier differs by more where the samples are few.

    Raises:
        UsageError: sizes or labels that do not fit, or fewer than two classes.
    """
    if images.shape[1:] != real_images.shape[1:]:
        raise UsageError(
            f"samples {images.shape[1:]} and real images {real_images.shape[1:]} differ in size: "
            "give both as (n, H, W, C)"
        )
    if len(real_images) < 1 or real_labels.shape != (len(real_images),):
        raise UsageError(
            f"{len(real_images)} real images with labels {real_labels.shape}: needs at least one "
            "and one label per image"
        )
    if classes is None:
        classes = 1 + max(int(part.max(initial=0)) for part in (labels, real_labels))
    classifier = DomainClassifier.fit(
        images,
        labels.astype(np.int64),
        classes=classes,
        seed=seed,
        device=device,
        cache_directory=cache_directory,
    )
    found = label_accuracy(classifier.predict(real_images), real_labels)
    method = f"Wilson over {len(real_images)} real images; the trained classifier fixed"
    return Estimate(found.value, found.low, found.high, method)
