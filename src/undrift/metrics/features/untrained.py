"""Features of a network that is never trained.

Reference: Naeem et al., "Reliable fidelity and diversity metrics for generative models" (2020), who
use random features where no trained ones fit the domain.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.features.convnet import LONGEST_SIDE
from undrift.metrics.features.fitted import FittedNetwork
from undrift.metrics.features.fitting import initial_network, settle
from undrift.metrics.features.resizing import shrink, shrunk_size
from undrift.randomness import generator


class RandomFeatures(FittedNetwork):
    """The network of `DomainClassifier` with random weights.

    Only its normalisations are set, on the training images. It distinguishes distributions, but its
    distances are coarser than a classifier's: nothing of what matters to people was learned.
    """

    kind = "random"
    description = "64 features of an untrained random network, normalised on the training images"

    @classmethod
    def fit(
        cls, images: NDArray[np.uint8], *, seed: int = 0, device: torch.device | str = "cpu"
    ) -> RandomFeatures:
        """Draw weights from ``seed``, normalise them on ``images`` (n, H, W, C) uint8, n >= 2.

        Raises:
            UsageError: fewer than two images.
        """
        if len(images) < 2:
            raise UsageError(f"random features of {len(images)} images: needs at least 2")
        height, width, channels = images.shape[1:]
        order = torch.randperm(len(images), generator=generator(seed, "random features"))
        chosen = np.sort(order[:4096].numpy())
        shrunk = shrink(images[chosen], LONGEST_SIDE)
        network = initial_network(channels, 1, shrunk_size(height, width, LONGEST_SIDE), seed)
        settle(network, shrunk)  # on the CPU, whatever the device: the name must not depend on it
        return cls(network.to(device), (height, width, channels))
