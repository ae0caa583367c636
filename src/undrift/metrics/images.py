"""Images, and what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.randomness import generator


@dataclass(frozen=True)
class Images:
    """Images, and what they show.

    Attributes:
        images: (n, H, W, C) uint8.
        labels: (n,) int64, or None.
        captions: of each image, "" of one without; or None.
        numbers: (n, K) float64, or None.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    captions: tuple[str, ...] | None = None
    numbers: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse what is not images, or labels, captions or numbers of other images."""
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise UsageError(
                f"images {self.images.dtype} {self.images.shape}: wanted uint8 (n, H, W, C)"
            )
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise UsageError(f"{len(self.images)} images and labels {self.labels.shape}")
        for name, given in (("captions", self.captions), ("numbers", self.numbers)):
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
        return Images(self.images[rows], labels, captions, numbers)

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
