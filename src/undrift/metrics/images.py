"""Images, and what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.conditioning import MapSpec
from undrift.errors import UsageError
from undrift.randomness import generator


@dataclass(frozen=True, eq=False)
class GivenMap:
    """A map of each of n images: of real ones their own, of samples the one they were drawn with.

    Attributes:
        spec: what its pixels are.
        pixels: int16 (n, H, W, C), -1 where not given.
    """

    spec: MapSpec
    pixels: NDArray[np.int16]

    def take(self, rows: NDArray[np.int64]) -> GivenMap:
        """The maps at ``rows``."""
        return GivenMap(self.spec, self.pixels[rows])

    @property
    def classes(self) -> NDArray[np.int64]:
        """Of a map of classes the index of each pixel's, (n, H, W)."""
        return self.indexed(self)

    def indexed(self, other: GivenMap) -> NDArray[np.int64]:
        """The classes of another map's pixels, by their place among the classes of this one."""
        values = np.array(self.spec.values, np.int16)
        return (other.pixels[..., None, :] == values).all(axis=-1).argmax(axis=-1)


@dataclass(frozen=True)
class Images:
    """Images, and what they show.

    Attributes:
        images: (n, H, W, C) uint8.
        labels: (n,) int64, or None.
        captions: of each image, "" of one without; or None.
        numbers: (n, K) float64, or None.
        maps: of the images.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    captions: tuple[str, ...] | None = None
    numbers: NDArray[np.float64] | None = None
    maps: tuple[GivenMap, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is not images, or labels, captions or numbers of other images."""
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise UsageError(
                f"images {self.images.dtype} {self.images.shape}: wanted uint8 (n, H, W, C)"
            )
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise UsageError(f"{len(self.images)} images and labels {self.labels.shape}")
        parts = [("captions", self.captions), ("numbers", self.numbers)]
        for name, given in (*parts, *((one.spec.name, one.pixels) for one in self.maps)):
            if given is not None and len(given) != len(self.images):
                raise UsageError(f"{len(self.images)} images and {len(given)} {name}")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def take(self, rows: NDArray[np.int64]) -> Images:
        """The images at ``rows``."""
        labels = None if self.labels is None else self.labels[rows]
        if len(self) and not any(self.images.strides):
            return Images.unseen(len(rows), self.images.shape[1:], labels)
        captions = None if self.captions is None else tuple(self.captions[i] for i in rows)
        numbers = None if self.numbers is None else self.numbers[rows]
        maps = tuple(one.take(rows) for one in self.maps)
        return Images(self.images[rows], labels, captions, numbers, maps)

    @property
    def masks(self) -> dict[str, GivenMap]:
        """The maps of classes, by their names."""
        return {one.spec.name: one for one in self.maps if one.spec.values}

    def rows(self, count: int, seed: int, purpose: str) -> NDArray[np.int64]:
        """Rows of ``count`` of them without replacement, in order; all where there are no more."""
        return rows_of(len(self), count, seed, purpose)

    def draw(self, count: int, seed: int, purpose: str) -> Images:
        """The images of `rows`."""
        return self if count >= len(self) else self.take(self.rows(count, seed, purpose))

    @classmethod
    def unseen(
        cls, count: int, shape: tuple[int, ...], labels: NDArray[np.int64] | None = None
    ) -> Images:
        """Stand-ins for images of which only features are known; they take no memory."""
        return cls(np.broadcast_to(np.uint8(0), (count, *shape)), labels)


def rows_of(available: int, wanted: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """``wanted`` rows drawn without replacement, in order; all where there are no more."""
    if wanted >= available:
        return np.arange(available)
    order = torch.randperm(available, generator=generator(seed, purpose))
    return np.sort(order[:wanted].numpy())
