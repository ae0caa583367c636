"""What stands between images and the space a model lives in."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from undrift.errors import DivergedError, UsageError


class Codec(nn.Module, ABC):
    """A map from pixels to the model's space and back.

    Pixel values are from 0 to 255: whole numbers as uint8, or floating-point numbers, which
    likelihoods need for a density.

    Attributes:
        sigma_data: standard deviation of encoded data, for preconditioning.
        lossless: whether pixels can be had back; only such a codec has a likelihood.
    """

    sigma_data: float
    lossless: bool = True

    @abstractmethod
    def latent_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(C, H, W) of the encoded images of ``image_shape`` (C, H, W)."""

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels (B, *image_shape), uint8 or floats -> z (B, *latent_shape), float32 or float64."""

    @abstractmethod
    def levels(self, z: Tensor) -> Tensor:
        """Invert ``encode`` without rounding: z -> float pixel values, which may leave [0, 255]."""

    @abstractmethod
    def log_abs_det(self, z: Tensor) -> Tensor:
        """Log |det dz / d(pixels)| at each z: (B,) float64, in nats.

        A density transforms as log p(pixels) = log p(z) + log_abs_det(z).
        """

    def decode(self, z: Tensor) -> Tensor:
        """Z (B, *latent_shape) -> pixels uint8 (B, *image_shape), rounded and clipped to [0, 255].

        Raises:
            DivergedError: if ``z`` holds numbers that are not finite.
        """
        levels = self.levels(z)
        broken = int(levels.numel() - levels.isfinite().sum())
        if broken:
            raise DivergedError(
                f"decode: {broken} of {levels.numel()} values are not finite; "
                "the model or the sampler's settings diverged, try earlier weights or more steps"
            )
        return levels.round().clamp(0, 255).to(torch.uint8)


def checked_pixels(pixels: Tensor, channels: int | None) -> Tensor:
    """Return pixels as floating-point numbers.

    Raises:
        UsageError: if they are not (B, C, H, W) with the wanted number of channels.
    """
    if pixels.ndim != 4 or (channels is not None and pixels.shape[1] != channels):
        wanted = "C" if channels is None else channels
        raise UsageError(
            f"encode: images of shape {tuple(pixels.shape)}, wanted (B, {wanted}, H, W)"
        )
    if pixels.dtype == torch.uint8:
        return pixels.float()
    if pixels.dtype in (torch.float32, torch.float64):
        return pixels
    raise UsageError(f"encode: images of {pixels.dtype}, wanted uint8 or floats in 0..255")
