"""What the metrics need to know of a feature space.

A metric takes features, never images, and a distance is only comparable within one space. So every
space carries a name, ``kind@hash8``, whose hash covers all that its numbers depend on: weights and
preprocessing.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class FeatureExtractor(Protocol):
    """Images to vectors."""

    @property
    def name(self) -> str:
        """``kind@hash8``: the space that a number was measured in."""
        ...

    @property
    def description(self) -> str:
        """The space in words, one phrase for the protocol string."""
        ...

    @property
    def dimension(self) -> int:
        """D, the number of features."""
        ...

    @property
    def standard_fid(self) -> bool:
        """True where a Frechet distance may be called FID.

        That is the verified TF-Inception weights of 2015 behind the resize of TensorFlow 1, and
        nothing else.
        """
        ...

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Features (n, D) of ``images`` (n, H, W, C) uint8."""
        ...


@runtime_checkable
class Classifier(FeatureExtractor, Protocol):
    """A feature space that also knows classes."""

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        ...

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Most probable class (n,) in [0, K) of each of ``images`` (n, H, W, C) uint8."""
        ...

    def read(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
        """``features`` and ``probabilities`` of ``images`` by one pass through the network."""
        ...

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probability (n, K) of each class for each of ``images``; rows sum to 1."""
        ...

    def probabilities_of(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The same of images of which only the ``features`` (n, D) of this space are known."""
        ...
