"""What a pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The way from noise to images, one entry per step.

    Attributes:
        t: times at which the denoiser was asked, (K,) float64, falling.
        log_snr: of those times, (K,) float64.
        noisy: the states there, scaled to the data's spread, uint8 (K, n, H, W, C).
        denoised: what the denoiser made of them, uint8 (K, n, H, W, C).
    """

    t: np.ndarray
    log_snr: np.ndarray
    noisy: np.ndarray
    denoised: np.ndarray


@dataclass(frozen=True, eq=False)
class Samples:
    """Images, and what they cost.

    Attributes:
        images: uint8 (n, H, W, C).
        labels: class of each image, int64 (n,); None for a model without classes.
        class_names: what the labels mean, in stored order.
        nfe: network forwards per image, counted; guidance costs two per evaluation.
        seconds: wall clock from the call to the last image.
        settings: everything that, with the weights, determines the images; plain data.
        trajectory: the way there, if it was asked for.
    """

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    nfe: float
    seconds: float
    settings: dict[str, Any]
    trajectory: Trajectory | None = None

    def __len__(self) -> int:
        return len(self.images)

    def grid(self, columns: int | None = None) -> Image:
        """Return all images as one picture; see `undrift.pipelines.image_grid`."""
        from undrift.pipelines.grid import image_grid

        return image_grid(self.images, columns=columns or self._columns())

    def _columns(self) -> int | None:
        """One column per class where the classes take turns, so that a column is one class."""
        classes = len(self.class_names)
        takes_turns = self.settings.get("labels") == "all" and 2 <= classes <= 16
        return classes if takes_turns and len(self) >= classes else None
