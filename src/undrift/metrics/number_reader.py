"""Are numbers obeyed? A network trained on real images reads a number off drawn ones.

The error of a sample is the mean over its K numbers of

    |f_k(x) - y_k| / s_k                                                                  (1)

with ``f`` the reader, ``y`` the numbers that were given and ``s`` the standard deviations of the
training images' numbers. Real images that the reader was not trained on say how well it reads.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.metrics.features.convnet import FEATURES, LONGEST_SIDE, FeatureNetwork
from undrift.metrics.features.resizing import shrink
from undrift.randomness import generator, key

BATCH, RATE, FEWEST = 128, 3e-3, 20
"""Images of a batch, peak learning rate, and the fewest images that a reader is trained on."""

EPOCHS, STEPS = 40, (100, 1500)
"""Passes over the images, and the fewest and most updates that they may come to."""


class NumberReader(nn.Module):
    """Reads K numbers off images.

    Args:
        channels: of the images.
        size: (h, w) of the shrunk images.
        mean: (K,) of the training images' numbers.
        std: (K,) of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, channels: int, size: tuple[int, int], mean: NDArray[np.float64], std: Tensor
    ) -> None:
        super().__init__()
        self.trunk = FeatureNetwork(channels, 1, size)
        blank = torch.zeros(1, channels, *size, dtype=torch.float32, device="cpu")
        width = self.trunk.eval().body(blank).numel()  # where something is matters, too
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(width, FEATURES), nn.ReLU(), nn.Linear(FEATURES, len(mean))
        )
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        """Standardised numbers (B, K) of uint8 images (B, C, h, w)."""
        x = images.float() - self.trunk.mean[:, None, None]
        return self.head(self.trunk.body(x / self.trunk.std[:, None, None]))

    @torch.no_grad()
    def read(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Numbers (n, K) of images (n, H, W, C)."""
        parts = [self(block) for block in shrink(images, LONGEST_SIDE).split(BATCH)]
        found = torch.cat(parts).double()
        return (found * self.std + self.mean).numpy()


def fit_reader(
    images: NDArray[np.uint8], numbers: NDArray[np.float64], *, seed: int = 0
) -> NumberReader:
    """Train a reader on real images, on the CPU.

    Args:
        images: uint8 (N, H, W, C).
        numbers: (N, K).
        seed: of the weights and the order.

    Raises:
        UsageError: too few images, or a number that is the same for all.
    """
    if not FEWEST <= len(images) == len(numbers):
        raise UsageError(
            f"reading numbers: {len(images)} images and numbers {numbers.shape}; wanted at least "
            f"{FEWEST} of each"
        )
    std = numbers.std(0)
    if not (std > 0).all():
        raise UsageError("reading numbers: one of them is the same for all training images")
    pixels = shrink(images, LONGEST_SIDE)
    steps = max(STEPS[0], min(STEPS[1], EPOCHS * len(images) // BATCH))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "number reader"))
        size = (pixels.shape[2], pixels.shape[3])
        reader = NumberReader(pixels.shape[1], size, numbers.mean(0), torch.from_numpy(std))
        flat = pixels.float().transpose(0, 1).flatten(1)
        reader.trunk.mean.copy_(flat.mean(1))
        reader.trunk.std.copy_(flat.std(1).clamp_min(1.0))
        wanted = torch.from_numpy((numbers - numbers.mean(0)) / std).float()
        optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        reader.train()
        for step in range(steps):
            chosen = generator(seed, "numbers", step)
            rows = torch.randperm(len(images), generator=chosen, device="cpu")[:BATCH]
            loss = F.smooth_l1_loss(reader(pixels[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()
