r"""Codecs that shift and scale: z = (pixels - shift) / scale, one pair per channel.

The Jacobian is diagonal, so :math:`\log\lvert\det\rvert = -HW \sum_c \log \mathrm{scale}_c`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from undrift.codec.codec import Codec, checked_pixels
from undrift.errors import DataError, UsageError, shown

# A channel that never changes (an alpha of 255 everywhere) has no spread to divide by. Taken as 1,
# it becomes a constant zero, and a model's error below half a pixel value rounds away.
SMALLEST_STD = 1.0

PIXELS_PER_CHUNK = 1 << 22


class Affine(Codec):
    """A shift and a scale; subclasses say which."""

    @abstractmethod
    def shift_and_scale(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, broadcastable to ``z``, of its device and dtype."""

    @property
    def channels(self) -> int | None:
        """Number of channels that images must have; None: any."""
        return None

    def latent_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """See ``Codec.latent_shape``; the same."""
        return image_shape

    def encode(self, pixels: Tensor) -> Tensor:
        """See ``Codec.encode``."""
        pixels = checked_pixels(pixels, self.channels)
        shift, scale = self.shift_and_scale(pixels)
        return (pixels - shift) / scale

    def levels(self, z: Tensor) -> Tensor:
        """See ``Codec.levels``."""
        z = z if z.dtype == torch.float64 else z.float()
        shift, scale = self.shift_and_scale(z)
        return torch.addcmul(shift, z, scale)

    def log_abs_det(self, z: Tensor) -> Tensor:
        """See ``Codec.log_abs_det``."""
        _, scale = self.shift_and_scale(z.double())
        logarithms = scale.log().expand(1, *z.shape[1:])
        return -logarithms.sum().expand(z.shape[0])


class Identity(Affine):
    """Pixels on [-1, 1]: z = pixels / 127.5 - 1.

    Args:
        sigma_data: standard deviation of the data on that scale; 0.5 is usual for photographs.
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        super().__init__()
        if not 0 < sigma_data < float("inf"):
            raise UsageError(f"identity codec: sigma_data is {sigma_data}, wanted more than 0")
        self.sigma_data = sigma_data

    def shift_and_scale(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """127.5 twice."""
        half = torch.full((1, 1, 1, 1), 127.5, device=z.device, dtype=z.dtype)
        return half, half


class Standardise(Affine):
    """Each channel at zero mean and unit variance: z = (pixels - mean) / std.

    Args:
        mean: of each channel, in pixel values.
        std: of each channel, in pixel values, more than 0.

    Raises:
        UsageError: if they do not fit together.
    """

    mean: Tensor
    std: Tensor
    sigma_data = 1.0

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise UsageError(
                f"standardise: {len(mean)} means and {len(std)} deviations, wanted one per channel"
            )
        if not (np.isfinite([*mean, *std]).all() and min(std) > 0):
            raise UsageError(
                f"standardise: mean {shown(mean)} and std {shown(std)}, wanted finite numbers and "
                "deviations above 0"
            )
        # Not in the state dict: they belong to the configuration, and live in one place only.
        for name, numbers in (("mean", mean), ("std", std)):
            tensor = torch.tensor(list(numbers), dtype=torch.float64, device="cpu").view(
                1, -1, 1, 1
            )
            self.register_buffer(name, tensor, persistent=False)

    @classmethod
    def fit(cls, images: np.ndarray) -> Standardise:
        """Take each channel's mean and standard deviation from images.

        They are exact (pixel values are counted, not summed) and the images are read once in
        chunks, so a memory-mapped array of any size will do. A deviation below 1 (a constant
        channel) is taken as 1.

        Args:
            images: uint8 (N, H, W, C).

        Raises:
            UsageError: for another type or shape.
            DataError: if there are no images.
        """
        counts = count_values(images)
        total = counts.sum(axis=1)
        if not total.size or not total.all():
            raise DataError(f"standardise: images of shape {images.shape}, wanted at least one")
        levels = np.arange(256, dtype=np.float64)
        mean = counts @ levels / total
        squares = (levels[None] - mean[:, None]) ** 2
        std = np.sqrt((counts * squares).sum(axis=1) / total)
        return cls(tuple(mean.tolist()), tuple(np.maximum(std, SMALLEST_STD).tolist()))

    @property
    def channels(self) -> int:
        """Number of channels that images must have."""
        return self.mean.shape[1]

    def shift_and_scale(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        return self.mean.to(z), self.std.to(z)


def count_values(images: np.ndarray) -> np.ndarray:
    """Count each pixel value in each channel of uint8 (N, H, W, C): (C, 256) int64.

    Raises:
        UsageError: for another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UsageError(
            f"codec: images of {images.dtype} {images.shape}, wanted uint8 (N, H, W, C)"
        )
    channels = images.shape[3]
    counts = np.zeros((channels, 256), dtype=np.int64)
    rows = max(1, PIXELS_PER_CHUNK // max(1, images[:1].size))
    for start in range(0, len(images), rows):
        chunk = images[start : start + rows]
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    return counts
