r"""Principal components of the pixels: the plainest space there is.

With x the pixel values of an image as one vector, m their mean over the training images, and u_j
the eigenvectors of their covariance in order of the eigenvalues lambda_1 >= lambda_2 >= ...:

    f_j(x) = u_j . (x - m) / s,     s^2 = mean of lambda_1 ... lambda_D,                    (1)

so the components keep their own variances (no whitening: noise is not raised to the weight of
shape), and the mean of these over the training images is 1, as in the other fitted spaces.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.features.principal import PrincipalFeatures, principal_directions
from undrift.metrics.features.resizing import shrink
from undrift.metrics.features.spread import require_different
from undrift.randomness import generator

_VERSION = 1  # of the recipe below: it is part of the name
_MOST_COMPONENTS = 64
_LONGEST_SIDE = 32
_MOST_IMAGES = 8192
_BATCH = 4096


class PixelFeatures(PrincipalFeatures):
    """At most 64 principal components of images averaged down to at most 32 pixels a side."""

    kind = "pixels"
    description = "principal components of the pixels, fitted on the training images, not whitened"

    @classmethod
    def fit(cls, images: NDArray[np.uint8], *, seed: int = 0) -> PixelFeatures:
        """Fit on ``images`` (n, H, W, C) uint8, or on 8,192 of them that ``seed`` chooses.

        Raises:
            UsageError: fewer than two images, or images that are all the same.
        """
        if images.ndim != 4 or len(images) < 2:
            raise UsageError(f"pixel features of images {images.shape}: needs at least 2")
        require_different(images, "pixel features")
        order = torch.randperm(len(images), generator=generator(seed, "pixel features"))
        shrunk = shrink(images[np.sort(order[:_MOST_IMAGES].numpy())], _LONGEST_SIDE)
        rows = shrunk.flatten(1).double()
        mean, directions = principal_directions(rows, _MOST_COMPONENTS)  # (1)
        if directions.shape[1] == 0:
            raise UsageError(f"pixel features of {len(images)} images that are all the same")
        shape = (images.shape[1], images.shape[2], images.shape[3])
        digest = hashlib.sha256(f"{_VERSION}|{shape}|{tuple(shrunk.shape)}|".encode())
        digest.update(shrunk.numpy().tobytes())
        return cls(mean, directions, shape, digest.hexdigest())

    def _components(self, images: NDArray[np.uint8]) -> Tensor:
        parts = [
            (shrink(images[start : start + _BATCH], _LONGEST_SIDE).flatten(1).double() - self.mean)
            @ self.directions
            for start in range(0, len(images), _BATCH)
        ]
        return torch.cat(parts)
