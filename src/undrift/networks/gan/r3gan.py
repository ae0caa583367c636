r"""R3GAN: residual blocks of grouped convolutions, no normalisation anywhere, alike in G and D.

.. math:: x \leftarrow x + W_3 * a\bigl(W_2 * a(W_1 * x + b_1) + b_2\bigr), \qquad
          a = \text{leaky ReLU of slope } 0.2

with :math:`W_1` 1x1 to twice as many channels, :math:`W_2` 3x3 in groups, :math:`W_3` 1x1 back. In
place of normalisation the start keeps variances: :math:`W_3 = 0`, and :math:`W_1, W_2` are scaled
by :math:`L^{-1/(2m - 2)}` with L residual blocks of m = 3 layers. Resampling is bilinear. The
generator starts from a learned basis of the coarsest stage, weighted by z; the discriminator ends
in one.

References: Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline", section
3.3; Zhang et al. 2019, "Fixup Initialization", section 3; He et al. 2015 (gain of a leaky ReLU).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.limits import WIDEST
from undrift.networks.blocks import Layer, zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.gan.convolution import Convolution
from undrift.networks.gan.head import ProjectionHead
from undrift.networks.gan.latent import with_context
from undrift.networks.gan.maps import StageMaps
from undrift.networks.gan.pyramid import grown, shrunk, sizes
from undrift.networks.gan.rectified import rectified
from undrift.networks.patches import from_patches, to_patches, with_maps
from undrift.schema import check_ranges

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
LAYERS = 3


@dataclass(frozen=True)
class R3GANConfig:
    """Shape of an R3GAN.

    Attributes:
        kind: names this configuration in a file.
        width: channels of the coarsest stages.
        full_stages: how many stages those are; each finer one has half the channels of the one
            before, which keeps its cost.
        group_width: channels per group of the grouped convolutions, at most.
        blocks: residual blocks per stage.
        latent: numbers in z.
        patch: side of the squares that are one place of the finest stage.
    """

    kind: Literal["r3gan"] = "r3gan"
    width: int = 128
    full_stages: int = 4
    group_width: int = 16
    blocks: int = 2
    latent: int = 64
    patch: int = 1

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(
            self,
            "r3gan",
            width=(1, WIDEST),
            full_stages=(1, 64),
            group_width=(1, WIDEST),
            blocks=(1, 64),
            latent=(1, WIDEST),
            patch=(1, 64),
        )


class R3GANGenerator(nn.Module):
    """See `undrift.networks.gan.Generator`."""

    def __init__(
        self, config: R3GANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.latent, self.context = config.latent, context
        self.size, self.patch = size, config.patch
        stages = sizes(size, config.patch)
        width = _widths(config, len(stages))
        self.basis = nn.Parameter(torch.randn(width[0], *stages[0]))
        self.stem = _started(nn.Linear(config.latent + context.vector, width[0], bias=False), 1.0)
        self.stages = nn.ModuleList(
            _Stage(inward, outward, config, len(stages))
            for inward, outward in zip([width[0], *width], width, strict=False)
        )
        self.out = _started(_at_border(width[-1], channels * config.patch**2, config.patch), 1.0)
        self.maps = StageMaps(context.maps, width, config.patch)

    def forward(self, z: Tensor, context: Context | None = None, truncation: float = 1.0) -> Tensor:
        """See `undrift.networks.gan.Generator`; the image has no tanh."""
        weights = self.stem(with_context(truncation * z, context, self.context))
        h = weights[:, :, None, None] * self.basis.to(weights.dtype)
        for number, stage in enumerate(self.stages):
            join = partial(self.maps, stage=number, context=context)
            h = stage(h, grows=number > 0, join=join)
        return from_patches(self.out(h), self.patch, self.size)


class R3GANDiscriminator(nn.Module):
    """Images (B, C, H, W) and a context to logits (B,)."""

    def __init__(
        self, config: R3GANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.patch, self.maps = config.patch, context.maps
        stages = sizes(size, config.patch)
        width = _widths(config, len(stages))[::-1]
        seen = (channels + context.maps) * config.patch**2
        self.stem = _started(_at_border(seen, width[0], config.patch), 1.0)
        self.stages = nn.ModuleList(
            _Stage(inward, outward, config, len(stages))
            for inward, outward in zip([width[0], *width], width, strict=False)
        )
        # One weight per channel and place of the coarsest stage: a basis to project onto.
        places = stages[0][0] * stages[0][1]
        self.basis = nn.Parameter(torch.randn(width[-1], *stages[0]) / math.sqrt(places))
        self.head = ProjectionHead(width[-1], context)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) -> (B,)."""
        h = self.stem(to_patches(with_maps(x, context, self.maps), self.patch))
        for number, stage in enumerate(self.stages):
            h = stage(shrunk(h) if number else h)
        return self.head((self.basis * h).sum((2, 3)), context)


class _Stage(nn.Module):
    """A change of width, then residual blocks."""

    def __init__(self, inward: int, outward: int, config: R3GANConfig, stages: int) -> None:
        super().__init__()
        depth = stages * config.blocks
        self.transition = (
            nn.Identity()
            if inward == outward
            else _started(Convolution(inward, outward, 1, bias=False), 1.0)
        )
        self.blocks = nn.Sequential(
            *(_Block(outward, config.group_width, depth) for _ in range(config.blocks))
        )

    def forward(
        self,
        x: Tensor,
        *,
        grows: bool = False,
        join: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        h = self.transition(x)
        # Behind the change of width, which it commutes with, growing costs less.
        h = grown(h) if grows else h
        return self.blocks(h if join is None else join(h))


class _Block(nn.Module):
    def __init__(self, width: int, group_width: int, depth: int) -> None:
        super().__init__()
        gain = GAIN * depth ** (-1 / (2 * LAYERS - 2))
        wide = 2 * width
        groups = next(n for n in range(-(-wide // group_width), wide + 1) if wide % n == 0)
        self.expand = _started(Convolution(width, wide, 1), gain)
        self.mix = _started(Convolution(wide, wide, 3, padding=1, groups=groups), gain)
        self.contract = zeroed(Convolution(wide, width, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = rectified(self.expand(x), SLOPE)
        return x + self.contract(rectified(self.mix(h), SLOPE))


def _at_border(inward: int, outward: int, patch: int) -> Convolution:
    """Between images and features; over patches it must see across their borders."""
    kernel = 1 if patch == 1 else 3
    return Convolution(inward, outward, kernel, padding=kernel // 2)


def _widths(config: R3GANConfig, stages: int) -> list[int]:
    """Channels of each stage, coarsest first."""
    halvings = (max(0, stage - config.full_stages + 1) for stage in range(stages))
    return [max(1, config.width >> times) for times in halvings]


def _started(layer: Layer, gain: float) -> Layer:
    """Start weights as N(0, gain^2 / inputs) and the bias at 0."""
    inputs = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
