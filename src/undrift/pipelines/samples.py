"""What a pipeline returns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL.Image import Image

from undrift.arguments import checked
from undrift.errors import shortened
from undrift.json_types import JsonObject
from undrift.wording import dimensions, plural


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The trajectory of the first n images from noise, one entry per step.

    Attributes:
        t: times at which the denoiser was evaluated, (K,) float64, falling.
        log_snr: of those times, (K,) float64.
        noisy: the states there, scaled to the data's spread, uint8 (K, n, H, W, C).
        denoised: what the denoiser made of them, uint8 (K, n, H, W, C).
    """

    t: np.ndarray
    log_snr: np.ndarray
    noisy: np.ndarray
    denoised: np.ndarray

    def __repr__(self) -> str:
        steps, images = self.noisy.shape[:2]
        return f"<Trajectory: {plural(steps, 'step')} of {plural(images, 'image')}>"


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
        trajectory: of the first images, if requested.
        nfe_by_image: network forwards that each image needed, float64 (n,), where each has its own
            number, as with an adaptive sampler; ``nfe`` counts the waiting for its batch-mates too.
        prompts: of each image; None where none was given.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    nfe: float = 0.0
    seconds: float = 0.0
    settings: JsonObject = field(default_factory=dict)
    trajectory: Trajectory | None = None
    nfe_by_image: np.ndarray | None = None
    prompts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        _, height, width, channels = self.images.shape
        used = [] if self.labels is None else [self.class_names[k] for k in np.unique(self.labels)]
        classes = f", classes {shortened(', '.join(used), 60)}" if used else ""
        size = dimensions(height, width)
        count = plural(len(self), "image")
        return (
            f"<Samples: {count} of {size}, {plural(channels, 'channel')}{classes}, "
            f"{self.nfe:g} evaluations each, {self.seconds:.2f} s>"
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the grid."""
        from undrift.pipelines.png import encode_png

        return encode_png(self.grid(), {})

    def pil(self) -> list[Image]:
        """Return each image as a picture of Pillow, of mode L, LA, RGB or RGBA.

        Raises:
            UsageError: for images of more than four channels.
        """
        from undrift.pipelines.png import to_picture

        return [to_picture(image) for image in self.images]

    @checked
    def save(
        self, directory: str | os.PathLike[str], *, npz: str | os.PathLike[str] | None = None
    ) -> Path:
        """Write what ``undrift sample`` writes; see `undrift.pipelines.write_samples`.

        Args:
            directory: made if it is not there.
            npz: a file for all images, labels and class names too.

        Returns:
            The directory.

        Raises:
            UsageError: if ``directory`` holds samples already or cannot be written.
        """
        from undrift.pipelines.writing import write_samples

        call = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        of = ".inpaint(images, mask, " if "variants" in self.settings else "("
        return write_samples(
            self, Path(directory), f"pipeline{of}{call})", None if npz is None else Path(npz)
        )

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
            prompts=tuple(prompt for part in parts for prompt in part.prompts or ()) or None,
        )

    @checked
    def grid(self, columns: int | None = None) -> Image:
        """Return all images as one picture; see `undrift.pipelines.image_grid`."""
        from undrift.pipelines.grid import image_grid

        return image_grid(self.images, columns=columns or self._columns())

    def _columns(self) -> int | None:
        """One column per class where the classes take turns, and one row per inpainted image."""
        variants = self.settings.get("variants")
        if isinstance(variants, int):
            return variants
        classes = len(self.class_names)
        takes_turns = self.settings.get("labels") == "all" and 2 <= classes <= 16
        return classes if takes_turns and len(self) >= classes else None
