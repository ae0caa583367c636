r"""Layers with an equalised learning rate: weights of unit variance, scaled when they are used.

.. math:: y = \tfrac{1}{\sqrt{n}}\,\lambda\, W x + \lambda\, b, \qquad W_{ij} \sim N(0, 1/\lambda^2)

with n the inputs per output and :math:`\lambda` a multiplier of the learning rate. An optimiser
that normalises its updates, such as Adam, then moves each of these layers by the same relative
amount, times its :math:`\lambda`. The discriminator's last layer
(`undrift.networks.gan.head.ProjectionHead`) is not one of them.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", section 4.1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.networks.gan.convolution import convolved
from undrift.networks.gan.rectified import rectified


class EqualLinear(nn.Module):
    """A linear layer.

    Args:
        inward: numbers that come in.
        outward: numbers that go out.
        bias: what every bias starts at; None: there is none.
        rate: multiplier of the learning rate, lambda.
    """

    def __init__(
        self, inward: int, outward: int, *, bias: float | None = 0.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.rate, self.scale = rate, rate / math.sqrt(inward)
        self.weight = nn.Parameter(torch.randn(outward, inward) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((outward,), bias / rate))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inward) -> (..., outward)."""
        bias = None if self.bias is None else self.rate * self.bias
        return F.linear(x, self.scale * self.weight, bias)


class EqualConv(nn.Module):
    """A convolution that keeps the size.

    Args:
        inward: channels that come in.
        outward: channels that go out.
        kernel: side of the kernel, odd.
        bias: whether there is one.
    """

    def __init__(self, inward: int, outward: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.padding, self.scale = kernel // 2, 1 / math.sqrt(inward * kernel**2)
        self.weight = nn.Parameter(torch.randn(outward, inward, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outward)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W) -> (B, outward, H, W)."""
        return convolved(x, self.scale * self.weight, self.bias, padding=self.padding)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 that keeps the mean square of normal numbers, up to 4 per cent."""
    return math.sqrt(2) * rectified(x, 0.2)
