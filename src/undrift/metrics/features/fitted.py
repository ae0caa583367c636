"""What all spaces of a `FeatureNetwork` share: its name, its unit, and the images it accepts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.features import cache
from undrift.metrics.features.convnet import FEATURES, LONGEST_SIDE, FeatureNetwork
from undrift.metrics.features.resizing import shrink, shrink_levels

_BATCH = 1024


class FittedNetwork:
    """Features of a `FeatureNetwork` that was fitted on images of one shape.

    Args:
        network: its weights are used as they are, in eval mode, on the device that they are on.
        shape: (H, W, C) of the images.
    """

    kind = ""
    description = ""

    def __init__(self, network: FeatureNetwork, shape: tuple[int, int, int]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.shape = shape

    @property
    def name(self) -> str:
        """``kind@`` and eight hex digits of the weights' SHA-256."""
        return f"{self.kind}@{cache.content_hash(self.network.state_dict())[:8]}"

    @property
    def dimension(self) -> int:
        """64."""
        return FEATURES

    @property
    def standard_fid(self) -> bool:
        """False: a distance here is no FID."""
        return False

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (n, 64), float64, of ``images`` (n, H, W, C) uint8.

        Their mean variance over the training images is 1, which fixes the unit of a distance.

        Raises:
            UsageError: images of another size or channel count than those fitted on.
        """
        return self.outputs(images)[0].double().numpy()

    def of_levels(self, levels: Tensor) -> Tensor:
        """Features (n, 64), float32, of ``levels`` (n, C, H, W) on [0, 255], whole or not.

        Differentiable in them, and on their device, which must be the network's.
        """
        return self.network(shrink_levels(levels.float(), LONGEST_SIDE))[0]

    def outputs(self, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Features (n, 64) and logits (n, K), float32, both on the CPU."""
        if images.ndim != 4 or images.shape[1:] != self.shape or images.dtype != np.uint8:
            raise UsageError(
                f"images {images.dtype} {images.shape}: {self.kind} features were fitted on uint8 "
                f"(n, {', '.join(map(str, self.shape))})"
            )
        device = self.network.mean.device
        shrunk = shrink(images, LONGEST_SIDE)
        with torch.no_grad():
            parts = [self.network(block.to(device)) for block in shrunk.split(_BATCH)]
        features, logits = zip(*parts, strict=True)
        return torch.cat(features).cpu(), torch.cat(logits).cpu()
