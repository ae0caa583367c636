r"""The style-based GAN of Karras et al. 2020, without noise inputs.

A mapping network turns z into a style w, which modulates every convolution of the synthesis; every
stage adds to an image that grows with it. Without noise inputs an image is a function of its z
alone. The discriminator is residual, takes the minibatch's standard deviation, and has no
normalisation.

Truncation by psi draws styles towards the mean over z of those of the same condition,

.. math:: w \leftarrow \bar w(y) + \psi\,(w - \bar w(y)), \qquad \bar w(y) = E_z[f(z, y)],

so that a truncated image still shows its condition. (A mean over all conditions, as the
running mean of the paper is, would lead every class to one image.)

References: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; Karras et
al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix C (sizes, and
neither style mixing nor path-length regularisation on small images).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required
from undrift.networks.gan.equalized import EqualConv, EqualLinear, leaky
from undrift.networks.gan.head import ProjectionHead
from undrift.networks.gan.latent import unit, with_context
from undrift.networks.gan.maps import StageMaps
from undrift.networks.gan.minibatch import with_spread
from undrift.networks.gan.modulation import ModulatedConv
from undrift.networks.gan.pyramid import grown, shrunk, sizes, widths
from undrift.networks.patches import from_patches, to_patches, with_maps
from undrift.schema import check_ranges

CENTRE_LATENTS = 2048
"""Latents that a mean style is computed from: it is off by a fiftieth of the styles' spread."""


@dataclass(frozen=True)
class StyleGAN2Config:
    """Shape of a style-based GAN.

    Attributes:
        kind: names this configuration in a file.
        width: channels of the finest stage; each coarser one has twice as many, up to four times.
        latent: numbers in z, and in w.
        mapping: layers of the mapping network.
        group: images in a group of the minibatch standard deviation; 1: none.
        patch: side of the squares that are one place of the finest stage.
    """

    kind: Literal["stylegan2"] = "stylegan2"
    width: int = 64
    latent: int = 128
    mapping: int = 2
    group: int = 8
    patch: int = 1

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(
            self,
            "stylegan2",
            width=(1, WIDEST),
            latent=(1, WIDEST),
            mapping=(1, 64),
            group=(1, WIDEST),
            patch=(1, 64),
        )


class StyleGAN2Generator(nn.Module):
    """See `undrift.networks.gan.Generator`."""

    def __init__(
        self, config: StyleGAN2Config, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.latent, self.context = config.latent, context
        stages = sizes(size, config.patch)
        width = widths(config.width, len(stages), most=4)
        inputs = [config.latent + context.vector] + [config.latent] * (config.mapping - 1)
        # The mapping learns a hundred times slower: its errors reach every layer.
        self.mapping = nn.ModuleList(EqualLinear(n, config.latent, rate=0.01) for n in inputs)
        self.base = nn.Parameter(torch.randn(width[0], *stages[0]))
        inwards = [width[0], *width[:-1]]
        self.stages = nn.ModuleList(
            _Synthesis(inward, outward, channels, config)
            for inward, outward in zip(inwards, width, strict=True)
        )
        self.maps = StageMaps(context.maps, inwards, config.patch)

    def style(self, z: Tensor, context: Context | None) -> Tensor:
        """The styles w (B, latent) of latents z."""
        w = with_context(unit(z), context, self.context)
        for layer in self.mapping:
            w = leaky(layer(w))
        return w

    def centre(self, context: Context | None, count: int) -> Tensor:
        """The mean style of each row's condition: (count, latent)."""
        return self.spread(context, count)[0]

    def spread(self, context: Context | None, count: int) -> tuple[Tensor, Tensor]:
        """The mean style of each row's condition, and how far styles stray from it.

        Returns:
            (count, latent), and the root mean square per coordinate, (count, 1).
        """
        noise = torch.Generator().manual_seed(0)
        z = torch.randn(CENTRE_LATENTS, self.latent, generator=noise).to(self.base.device)
        if not self.context.vector:
            mean, stray = _moments(self.style(z, None))
            return mean.expand(count, -1), stray.expand(count, 1)
        known, place = required(context, "vector").unique(dim=0, return_inverse=True)
        styles = (self.style(z, Context(vector=row.expand(len(z), -1))) for row in known)
        means, strays = zip(*map(_moments, styles), strict=True)
        return torch.stack(means)[place], torch.stack(strays)[place, None]

    def synthesis(self, w: Tensor, context: Context | None) -> Tensor:
        """Images (B, C, H, W) of styles w (B, latent), over the maps of ``context``."""
        # copies: a view of a parameter requires gradients even where none are recorded
        h = self.base.repeat(len(w), *[1] * self.base.ndim)
        image: Tensor | None = None
        for number, stage in enumerate(self.stages):
            if number:
                h = grown(h)
            h, seen = stage(self.maps(h, number, context), w)
            image = seen if image is None else grown(image) + seen
        if image is None:
            raise UsageError("stylegan2: it has no stages; give it a size")
        return image

    def forward(self, z: Tensor, context: Context | None = None, truncation: float = 1.0) -> Tensor:
        """See `undrift.networks.gan.Generator`."""
        w = self.style(z, context)
        if truncation != 1:
            w = self.centre(context, len(w)).to(w.dtype).lerp(w, truncation)
        return self.synthesis(w, context)


class StyleGAN2Discriminator(nn.Module):
    """Images (B, C, H, W) and a context to logits (B,)."""

    def __init__(
        self, config: StyleGAN2Config, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.group, self.patch, self.maps = config.group, config.patch, context.maps
        stages = sizes(size, config.patch)
        width = widths(config.width, len(stages), most=4)[::-1]
        seen = (channels + context.maps) * config.patch**2
        self.stem = EqualConv(seen, width[0], 1 if config.patch == 1 else 3)
        self.blocks = nn.ModuleList(
            _Analysis(inward, outward) for inward, outward in zip(width, width[1:], strict=False)
        )
        self.conv = EqualConv(width[-1] + int(config.group > 1), width[-1], 3)
        self.linear = EqualLinear(width[-1] * stages[0][0] * stages[0][1], width[-1])
        self.head = ProjectionHead(width[-1], context)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) -> (B,)."""
        h = leaky(self.stem(to_patches(with_maps(x, context, self.maps), self.patch)))
        for block in self.blocks:
            h = block(h)
        if self.group > 1:
            h = with_spread(h, self.group)
        h = leaky(self.linear(leaky(self.conv(h)).flatten(1)))
        return self.head(h, context)


class _Synthesis(nn.Module):
    def __init__(self, inward: int, outward: int, channels: int, config: StyleGAN2Config) -> None:
        super().__init__()
        style, self.patch = config.latent, config.patch
        self.conv_in = ModulatedConv(inward, outward, 3, style)
        self.conv_out = ModulatedConv(outward, outward, 3, style)
        self.bias = nn.Parameter(torch.zeros(2, outward, 1, 1))
        kernel = 1 if self.patch == 1 else 3
        self.to_image = ModulatedConv(
            outward, channels * self.patch**2, kernel, style, demodulates=False
        )
        self.image_bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        h = leaky(self.conv_in(x, w) + self.bias[0])
        h = leaky(self.conv_out(h, w) + self.bias[1])
        height, width = (self.patch * side for side in h.shape[2:])
        seen = from_patches(self.to_image(h, w), self.patch, (height, width))
        return h, seen + self.image_bias


class _Analysis(nn.Module):
    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv_in = EqualConv(inward, inward, 3)
        self.conv_out = EqualConv(inward, outward, 3)
        self.skip = EqualConv(inward, outward, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = shrunk(leaky(self.conv_out(leaky(self.conv_in(x)))))
        return (h + self.skip(shrunk(x))) / math.sqrt(2)


def _moments(w: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (latent,) of styles (n, latent), and their root mean square deviation per number, ()."""
    mean = w.mean(0)
    return mean, (w - mean).square().mean().sqrt()
