"""The 1,797 handwritten digits that scikit-learn carries: 8x8 grey images of 17 grey levels.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from undrift.data.sources.source import Rows

TEST_SHARE = 0.1


def digits() -> Rows:
    """Return the digits, uint8 ``round(v * 255 / 16)``, (1797, 8, 8, 1), a tenth of them test."""
    # Imported here: scikit-learn takes a second to import, and only this source needs it.
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.round(values * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int64)
    return Rows(
        kind="digits",
        images=images,
        labels=labels,
        class_names=tuple(str(digit) for digit in range(10)),
        splits=stratified_test(images, labels, TEST_SHARE),
    )


def stratified_test(
    images: NDArray[np.uint8], labels: NDArray[np.int64], share: float
) -> tuple[str, ...]:
    """Mark ``share`` of each class "test" and the rest "train", chosen by the pixels' hash.

    A choice by content needs no random stream, so it is the same on every machine and version.
    """
    hashes = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images]
    splits = ["train"] * len(images)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        for row in sorted(members, key=lambda i: hashes[i])[: round(share * len(members))]:
            splits[row] = "test"
    return tuple(splits)
