"""What a denoiser makes of images with a little noise in one step.

The mean of the squared error over noise levels is decided where noise is strong. Texture and edges
are decided where it is weak, and add next to nothing to that mean: two networks with the same mean
can draw static or coherent surfaces. The eye sees there what the mean does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.diffusion import Denoiser
from undrift.pipelines.grid import image_grid
from undrift.randomness import generator

NOISE = (0.1, 0.2, 0.4)
"""Noise over signal, in standard deviations of the data."""

_FACTOR, _LEAST, _WINDOW = 4, 128, 48
"""An image is magnified this much, or to this many pixels; of large ones the middle is shown."""


@dataclass(frozen=True)
class OneStep:
    """Images, and estimates of them from noisy ones.

    Attributes:
        images: uint8 (N, H, W, C).
        denoised: uint8 (L, N, H, W, C), the denoiser's estimates, from the images with the noise of
            each of `NOISE`.
    """

    images: NDArray[np.uint8]
    denoised: NDArray[np.uint8]

    def picture(self) -> Image.Image:
        """A row per image: as it is, then denoised from each level; magnified, unsmoothed.

        Of images larger than 48 pixels a side the middle is shown.
        """
        rows = np.concatenate([self.images[None], self.denoised]).swapaxes(0, 1)
        tiles = _middle(rows.reshape(-1, *self.images.shape[1:]))
        factor = max(_FACTOR, -(-_LEAST // max(tiles.shape[1:3])))
        magnified = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
        return image_grid(magnified, columns=1 + len(NOISE))


@torch.no_grad()
def denoise_once(
    denoiser: Denoiser,
    encoder: ConditionEncoder | None,
    codec: Codec,
    images: NDArray[np.uint8],
    condition: Condition,
    *,
    seed: int,
    device: torch.device,
) -> OneStep:
    """Add the noise of `NOISE` to ``images`` and denoise them in one step.

    Args:
        denoiser: in evaluation mode, on ``device``.
        encoder: of its conditions; None for a network that takes none.
        codec: between images and the model's space.
        images: uint8 (N, H, W, C).
        condition: of the N images.
        seed: of the noise.
        device: where to compute.

    Raises:
        DivergedError: where the network's output is not finite.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)
    x0 = codec.encode(pixels)
    levels = torch.tensor(NOISE, dtype=torch.float64, device="cpu") * codec.sigma_data
    times = denoiser.schedule.time_at(-2 * levels.log()).to(device)
    context = None if encoder is None else encoder(condition.to(device), len(x0))
    noise = torch.randn(
        x0.shape, generator=generator(seed, "one step"), dtype=torch.float32, device="cpu"
    ).to(device)
    denoised = []
    for t in times:
        level = denoiser.schedule(t)
        x_t = float(level.alpha) * x0 + float(level.sigma) * noise
        estimate = codec.decode(denoiser(x_t, t, context).x0)
        denoised.append(estimate.permute(0, 2, 3, 1).cpu().numpy())
    return OneStep(images, np.stack(denoised))


def _middle(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (side - _WINDOW) // 2) for side in images.shape[1:3])
    return images[:, top : top + _WINDOW, left : left + _WINDOW]
