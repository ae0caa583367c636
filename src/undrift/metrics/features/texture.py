r"""Local structure without a trained network: spectra, filter energies and thumbnails.

A network that was trained to name classes, or to distinguish images, may ignore texture and noise.
These features cannot: they are statistics of small neighbourhoods. The levels are put on [0, 1],
colours are multiplied by alpha where there is one, alpha is a plane of its own, and red, green and
blue become luminance and two colour differences. Of each plane x there are three groups:

    energies   log(e + mean (h_k * x_s)^2), k = 1 ... 8, s = 1, 2, 4,                       (1)
               and the sparsity mean |h_k * x_s| / sqrt(e + mean (h_k * x_s)^2), mean over k
    spectrum   log(e + mean over a ring of frequencies of |DFT x|^2 / pixels), 8 rings      (2)
    thumbnail  x averaged over a grid of 4 x 4 cells                                        (3)

with h_k the eight filters of the 3 x 3 discrete cosine transform that sum to zero, x_s the plane
averaged over s x s pixels, and e one grey level of 255, squared. Every number is divided by its
standard deviation over the training images and by the root of its group's size, so that planes and
groups weigh the same; the features are the first 64 principal components.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from undrift.errors import UsageError
from undrift.metrics.features.colour import premultiplied
from undrift.metrics.features.principal import PrincipalFeatures, principal_directions
from undrift.metrics.features.resizing import shrink
from undrift.metrics.features.spread import require_different
from undrift.randomness import generator

_VERSION = 2  # of the recipe above: it is part of the name
_LONGEST_SIDE = 128
_MOST_IMAGES = 2048
_MOST_COMPONENTS = 64
_BATCH = 256
_SCALES = (1, 2, 4)
_RINGS = 8
_CELLS = 4
_LEVEL = (1 / 255) ** 2
_ROUNDING = 1e-4  # spread of a statistic that is the same for all images, in float32
_LEAST_SPREAD = 0.05  # of the median: a statistic that hardly varies is not blown up


class TextureFeatures(PrincipalFeatures):
    """At most 64 principal components of local statistics, fitted on images of one shape.

    Args:
        scale: (P,) float64, what each statistic is divided by.
        mean: (P,) float64, of the scaled statistics.
        directions: see `PrincipalFeatures`, as the next ones.
        image_shape: as there.
        content: as there.
    """

    kind = "texture"
    description = (
        "principal components of filter energies, power spectrum and thumbnail of each colour "
        "plane, no trained network"
    )

    def __init__(
        self,
        scale: Tensor,
        mean: Tensor,
        directions: Tensor,
        image_shape: tuple[int, int, int],
        content: str,
    ) -> None:
        super().__init__(mean, directions, image_shape, content)
        self.scale = scale

    @classmethod
    def fit(cls, images: NDArray[np.uint8], *, seed: int = 0) -> TextureFeatures:
        """Fit on ``images`` (n, H, W, C) uint8, or on 2,048 of them that ``seed`` chooses.

        Raises:
            UsageError: fewer than two images, or images that are all the same.
        """
        if images.ndim != 4 or len(images) < 2:
            raise UsageError(f"texture features of images {images.shape}: needs at least 2")
        require_different(images, "texture features")
        order = torch.randperm(len(images), generator=generator(seed, "texture features"))
        chosen = images[np.sort(order[:_MOST_IMAGES].numpy())]
        rows, sizes = _statistics(chosen)
        spread = rows.std(dim=0)
        varying = spread[spread > _ROUNDING]
        if len(varying) == 0:
            raise UsageError(f"texture features of {len(images)} images that are all the same")
        spread = spread.clamp_min(_LEAST_SPREAD * float(varying.median()))
        weights = torch.cat(
            [torch.full((size,), math.sqrt(size), dtype=torch.float64) for size in sizes]
        )
        scale = spread * weights
        mean, directions = principal_directions(rows / scale, _MOST_COMPONENTS)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        digest = hashlib.sha256(f"{_VERSION}|{shape}|{len(chosen)}|".encode())
        digest.update(np.ascontiguousarray(chosen).tobytes())
        return cls(scale, mean, directions, shape, digest.hexdigest())

    def _components(self, images: NDArray[np.uint8]) -> Tensor:
        rows, _ = _statistics(images)
        return (rows / self.scale - self.mean) @ self.directions


def _statistics(images: NDArray[np.uint8]) -> tuple[Tensor, list[int]]:
    """All statistics (n, P), float64, and the sizes of their groups, which lie in a row."""
    parts, sizes = [], []
    for start in range(0, len(images), _BATCH):
        planes = _planes(shrink(images[start : start + _BATCH], _LONGEST_SIDE))
        groups = [_energies(planes), _spectrum(planes), _thumbnail(planes)]
        sizes = [group.shape[2] for group in groups for _ in range(group.shape[1])]
        parts.append(torch.cat([group.flatten(1) for group in groups], dim=1).double())
    return torch.cat(parts), sizes


def _planes(levels: Tensor) -> Tensor:
    """(n, C, h, w) uint8 to float32 planes on about [0, 1]."""
    colours, alpha = premultiplied(levels.float() / 255)
    if colours.shape[1] == 3:
        red, green, blue = colours.unbind(dim=1)
        colours = torch.stack(
            [(red + green + blue) / 3, (red - blue) / 2, green / 2 - (red + blue) / 4], dim=1
        )
    return colours if alpha is None else torch.cat([colours, alpha], dim=1)


def _energies(planes: Tensor) -> Tensor:
    """(1): (n, C, 9 per scale)."""
    count, channels, height, width = planes.shape
    filters = _filters()
    found = []
    for scale in _SCALES:
        if min(height, width) < 3 * scale:
            break
        averaged = F.avg_pool2d(planes, scale) if scale > 1 else planes
        flat = averaged.reshape(count * channels, 1, *averaged.shape[2:])
        responses = F.conv2d(flat, filters).flatten(2)
        energy = (responses**2).mean(dim=2)
        sparsity = (responses.abs().mean(dim=2) / (energy + _LEVEL).sqrt()).mean(
            dim=1, keepdim=True
        )
        found += [(energy + _LEVEL).log(), sparsity]
    if not found:
        return planes.new_zeros((count, channels, 0))
    return torch.cat(found, dim=1).reshape(count, channels, -1)


def _filters() -> Tensor:
    """(8, 1, 3, 3): products of the rows of the orthonormal 3-point cosine transform."""
    k, x = torch.arange(3.0)[:, None], torch.arange(3.0)[None]
    basis = torch.cos(math.pi * (x + 0.5) * k / 3) * math.sqrt(2 / 3)
    basis[0] /= math.sqrt(2)
    return torch.einsum("ai,bj->abij", basis, basis).reshape(9, 1, 3, 3)[1:]


def _spectrum(planes: Tensor) -> Tensor:
    """(2): (n, C, rings), means of the power over rings of frequencies without the mean."""
    height, width = planes.shape[2:]
    power = torch.fft.fft2(planes).abs() ** 2 / (height * width)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    ring = (radius / (math.sqrt(0.5) + 1e-6) * _RINGS).long()
    ring[0, 0] = _RINGS  # the mean is in the thumbnail
    rings = [power[:, :, ring == k].mean(dim=2) for k in range(_RINGS) if bool((ring == k).any())]
    if not rings:
        return planes.new_zeros((*planes.shape[:2], 0))
    return (torch.stack(rings, dim=2) + _LEVEL).log()


def _thumbnail(planes: Tensor) -> Tensor:
    """(3): (n, C, at most 16)."""
    height, width = planes.shape[2:]
    return F.adaptive_avg_pool2d(planes, (min(_CELLS, height), min(_CELLS, width))).flatten(2)
