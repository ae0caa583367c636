"""The small convolutional network whose last hidden layer the metrics are computed in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES = 64
LONGEST_SIDE = 64
_WIDTHS = (32, 64, 96)


class FeatureNetwork(nn.Module):
    """Images (B, C, h, w) of at most 64 pixels a side to 64 features and class logits.

    The first convolution's stride brings any size to at most 16 x 16, so the cost of an image
    hardly depends on it. Two stages halve the grid, the mean over what is left feeds the features.

    Args:
        channels: C.
        classes: number of logits; 1 where only features are wanted.
        size: (h, w) of the shrunk images.

    Attributes:
        mean: (C,) what is subtracted from the levels, set from training images.
        std: (C,) what they are divided by.
        scale: () divides the features, so that they vary by 1 each on average over training images.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor

    def __init__(self, channels: int, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        stride = 1 if max(size) <= 12 else 2 if max(size) <= 32 else 4
        first, second, third = _WIDTHS
        self.body = nn.Sequential(
            _convolution(channels, first, kernel=2 * stride + 1, stride=stride),
            _convolution(first, second, kernel=3, stride=2),
            _convolution(second, second, kernel=3, stride=1),
            _convolution(second, third, kernel=3, stride=2),
            _convolution(third, third, kernel=3, stride=1),
        )
        self.features = nn.Linear(third, FEATURES)
        self.logits = nn.Linear(FEATURES, classes)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, 64) and logits (B, classes), float32, of uint8 ``images`` (B, C, h, w)."""
        x = (images.float() - self.mean[:, None, None]) / self.std[:, None, None]
        hidden = torch.relu(self.features(self.body(x).mean(dim=(2, 3))))
        return hidden / self.scale, self.logits(hidden)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
