r"""DCGAN: strided convolutions, batch norm and nothing else; the GAN of most claims about GANs.

Generator: a linear layer to the coarsest stage, then a 4x4 transposed convolution of stride 2,
batch norm and ReLU per stage, tanh at the end. Discriminator: its mirror image with leaky ReLU.

Reference: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks". Weights start as N(0, 0.02^2), as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.limits import WIDEST
from undrift.networks.context import Context, ContextSpec
from undrift.networks.gan.head import ProjectionHead
from undrift.networks.gan.latent import with_context
from undrift.networks.gan.maps import StageMaps
from undrift.networks.gan.pyramid import sizes, widths
from undrift.networks.patches import with_maps
from undrift.schema import check_ranges

START = 0.02

LAYERS = 3
"""Of a stage: batch norm, ReLU, and a convolution that grows."""


@dataclass(frozen=True)
class DCGANConfig:
    """Shape of a DCGAN.

    Attributes:
        kind: names this configuration in a file.
        width: channels of the finest stage; each coarser one has twice as many, up to eight times.
        latent: numbers in z.
    """

    kind: Literal["dcgan"] = "dcgan"
    width: int = 64
    latent: int = 100

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(self, "dcgan", width=(1, WIDEST), latent=(1, WIDEST))


class DCGANGenerator(nn.Module):
    """See `undrift.networks.gan.Generator`."""

    def __init__(
        self, config: DCGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.latent, self.context = config.latent, context
        stages = sizes(size)
        width = widths(config.width, len(stages))
        self.base = (width[0], *stages[0])
        inputs = config.latent + context.vector
        self.stem = nn.Linear(inputs, width[0] * stages[0][0] * stages[0][1], bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(width[0]), nn.ReLU()]
        for inward, outward in zip(width, width[1:], strict=False):
            grow = nn.ConvTranspose2d(inward, outward, 4, stride=2, padding=1, bias=False)
            layers += [grow, nn.BatchNorm2d(outward), nn.ReLU()]
        self.stages = nn.Sequential(*layers)
        self.out = nn.Conv2d(width[-1], channels, 3, padding=1)
        self.apply(_start)
        self.maps = StageMaps(context.maps, width)

    def forward(self, z: Tensor, context: Context | None = None, truncation: float = 1.0) -> Tensor:
        """See `undrift.networks.gan.Generator`."""
        inputs = with_context(truncation * z, context, self.context)
        h = self.stem(inputs).unflatten(1, self.base)
        for number, layer in enumerate(self.stages):
            if number % LAYERS == 0:
                h = self.maps(h, number // LAYERS, context)
            h = layer(h)
        return torch.tanh(self.out(h))


class DCGANDiscriminator(nn.Module):
    """Images (B, C, H, W) and a context to logits (B,)."""

    def __init__(
        self, config: DCGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.maps = context.maps
        stages = sizes(size)
        width = widths(config.width, len(stages))[::-1]
        stem = nn.Conv2d(channels + context.maps, width[0], 3, padding=1)
        layers: list[nn.Module] = [stem, nn.LeakyReLU(0.2)]
        for inward, outward in zip(width, width[1:], strict=False):
            shrink = nn.Conv2d(inward, outward, 4, stride=2, padding=1, bias=False)
            layers += [shrink, nn.BatchNorm2d(outward), nn.LeakyReLU(0.2)]
        self.stages = nn.Sequential(*layers, nn.Flatten())
        self.head = ProjectionHead(width[-1] * stages[0][0] * stages[0][1], context)
        self.apply(_start)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) -> (B,)."""
        return self.head(self.stages(with_maps(x, context, self.maps)), context)


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, std=START)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
