"""What a pipeline returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The way of the first n images from noise, one entry per step.

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
        trajectory: the way of the first images, if it was asked for.
        nfe_by_image: network forwards that each image needed, float64 (n,), where each has its own
            number, as with an adaptive sampler; ``nfe`` counts the waiting for its batch-mates too.
    """

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    nfe: float
    seconds: float
    settings: dict[str, Any]
    trajectory: Trajectory | None = None
    nfe_by_image: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def joined(parts: Sequence[Samples]) -> Samples:
        """Images of one request that were drawn in parts, one after the other.

        Args:
            parts: at least one; drawn with the same settings but for ``n`` and ``first``.
        """
        n = sum(map(len, parts))
        labels = [part.labels for part in parts if part.labels is not None]
        costs = [part.nfe_by_image for part in parts if part.nfe_by_image is not None]
        return Samples(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate(labels) if labels else None,
            class_names=parts[-1].class_names,
            nfe=sum(part.nfe * len(part) for part in parts) / n,
            seconds=sum(part.seconds for part in parts),
            settings=parts[0].settings | {"n": n},
            trajectory=parts[0].trajectory,
            nfe_by_image=np.concatenate(costs) if costs else None,
        )

    def grid(self, columns: int | None = None) -> Image:
        """Return all images as one picture; see `undrift.pipelines.image_grid`."""
        from undrift.pipelines.grid import image_grid

        return image_grid(self.images, columns=columns or self._columns())

    def _columns(self) -> int | None:
        """One column per class where the classes take turns, and one row per image of fills."""
        if "variants" in self.settings:
            return int(self.settings["variants"])
        classes = len(self.class_names)
        takes_turns = self.settings.get("labels") == "all" and 2 <= classes <= 16
        return classes if takes_turns and len(self) >= classes else None
