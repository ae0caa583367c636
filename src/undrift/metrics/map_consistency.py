r"""Do images follow their maps? The maps that are derived from images, beside those given.

For maps that are computed from an image (edges, grey values, a low resolution, visible parts),

.. math::

    d = \frac1N \sum_i \bigl\lvert m(x_i) - c_i \bigr\rvert                                  (1)

is the mean absolute difference, in pixel values, of the map :math:`m(x_i)` of sample :math:`i` and
the map :math:`c_i` that it was drawn from, over the pixels that were given. It is 0 for real images
and their own maps; with the maps of other samples it is what images reach that ignore their maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.conditioning import MapSpec
from undrift.conditioning.maps import derive
from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate, student_quantile
from undrift.randomness import derangement


@dataclass(frozen=True)
class MapConsistency:
    """How far images are from their maps, by equation (1).

    Attributes:
        images: how many.
        own: with the maps that the images were drawn from, in pixel values.
        shuffled: with the maps of other images, by a fixed random permutation.
    """

    images: int
    own: Estimate
    shuffled: Estimate


def map_consistency(
    one: MapSpec, images: NDArray[np.uint8], maps: NDArray[np.int16]
) -> MapConsistency:
    """Measure how far images are from the maps that they were drawn from.

    Args:
        one: a map that is derived from images.
        images: uint8 (N, H, W, C), N at least 2.
        maps: int16 (N, H, W, C), -1 in pixels that were not given.

    Raises:
        UsageError: for a map that cannot be derived, fewer than two images, or another number of
            maps.
    """
    if one.source == "paired":
        raise UsageError(f"map {one.name}: it cannot be derived from images; measure overlap")
    if len(images) < 2 or len(maps) != len(images):
        raise UsageError(
            f"map {one.name}: {len(images)} images and {len(maps)} maps; wanted two pairs or more"
        )
    derived = derived_maps(one, images)
    other = derangement(len(maps), 0, "shuffled maps").numpy()
    return MapConsistency(
        len(images), _difference(derived, maps), _difference(derived, maps[other])
    )


def derived_maps(one: MapSpec, images: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The whole map of each image, int16 (N, H, W, C); of ``masked`` the image itself."""
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    match one.source:
        case "edges":
            found = derive.edges(pixels)
        case "grey":
            found = derive.grey(pixels)
        case "lowres":
            found = derive.repeated(derive.reduced(pixels, one.factor), one.factor)
        case _:  # the visible parts of an image are its pixels
            found = pixels
    return found.permute(0, 2, 3, 1).to(torch.int16).numpy()


def _difference(derived: NDArray[np.int16], maps: NDArray[np.int16]) -> Estimate:
    given = maps >= 0
    off = np.abs(derived.astype(np.float64) - maps) * given
    axes = (1, 2, 3)
    by_image = off.sum(axes) / np.maximum(given.sum(axes), 1)
    error = float(by_image.std(ddof=1) / np.sqrt(len(by_image)))
    quantile = student_quantile(len(by_image))
    method = f"Student's t over {len(by_image)} images"
    return Estimate.normal(float(by_image.mean()), error, method, lowest=0.0, quantile=quantile)
