r"""The residual GAN of spectral normalisation; without it, the residual critic of WGAN-GP.

The discriminator's layers are spectrally normalised (`undrift.networks.gan.spectral`) after they
have got their initial weights, which are the same without. There is no normalisation of what it
sees, which gradient penalties of single images would not survive.

References: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
appendix B.4; Gulrajani et al. 2017, "Improved Training of Wasserstein GANs"; de Vries et al.
2017 (conditional batch norm of the generator).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.limits import WIDEST
from undrift.networks.blocks import zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required
from undrift.networks.gan.head import ProjectionHead
from undrift.networks.gan.latent import unit
from undrift.networks.gan.maps import StageMaps
from undrift.networks.gan.pyramid import sizes, widths
from undrift.networks.gan.spectral import normalised
from undrift.networks.patches import with_maps
from undrift.schema import check_ranges


@dataclass(frozen=True)
class SNGANConfig:
    """Shape of a residual GAN.

    Attributes:
        kind: names this configuration in a file.
        width: channels of the finest stage; each coarser one has twice as many, up to four times.
        latent: numbers in z.
        spectral_norm: whether the discriminator's layers are spectrally normalised.
    """

    kind: Literal["sngan"] = "sngan"
    width: int = 64
    latent: int = 128
    spectral_norm: bool = True

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(self, "sngan", width=(1, WIDEST), latent=(1, WIDEST))


class SNGANGenerator(nn.Module):
    """See `undrift.networks.gan.Generator`."""

    def __init__(
        self, config: SNGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.latent = config.latent
        stages = sizes(size)
        width = widths(config.width, len(stages), most=4)
        self.base = (width[0], *stages[0])
        self.stem = nn.Linear(config.latent, width[0] * stages[0][0] * stages[0][1])
        self.blocks = nn.ModuleList(
            _Grow(inward, outward, context)
            for inward, outward in zip(width, width[1:], strict=False)
        )
        self.norm = nn.BatchNorm2d(width[-1])
        self.out = nn.Conv2d(width[-1], channels, 3, padding=1)
        _start(self)
        self.maps = StageMaps(context.maps, width)

    def forward(self, z: Tensor, context: Context | None = None, truncation: float = 1.0) -> Tensor:
        """See `undrift.networks.gan.Generator`."""
        h = self.stem(truncation * z).unflatten(1, self.base)
        for number, block in enumerate(self.blocks):
            h = block(self.maps(h, number, context), context)
        h = self.maps(h, len(self.blocks), context)
        return torch.tanh(self.out(F.relu(self.norm(h))))


class SNGANDiscriminator(nn.Module):
    """Images (B, C, H, W) and a context to logits (B,)."""

    def __init__(
        self, config: SNGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        width = widths(config.width, len(sizes(size)), most=4)[::-1]
        self.maps = context.maps
        self.stem = nn.Conv2d(channels + context.maps, width[0], 3, padding=1)
        shrinking = [
            _Shrink(inward, outward, shrinks=True)
            for inward, outward in zip(width, width[1:], strict=False)
        ]
        last = _Shrink(width[-1], width[-1], shrinks=False)
        self.blocks = nn.Sequential(*shrinking, last)
        self.head = ProjectionHead(width[-1], context, bounded=config.spectral_norm)
        _start(self)
        if config.spectral_norm:
            normalised(self)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) -> (B,)."""
        h = F.relu(self.blocks(self.stem(with_maps(x, context, self.maps))))
        return self.head(h.sum((2, 3)), context)


class _ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift are linear in the context's vector, where there is one."""

    def __init__(self, width: int, context: ContextSpec) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=not context.vector)
        self.modulation = nn.Linear(context.vector, 2 * width) if context.vector else None

    def forward(self, x: Tensor, context: Context | None) -> Tensor:
        h = self.norm(x)
        if self.modulation is None:
            return h
        modulation = self.modulation(unit(required(context, "vector")))
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, h, scale + 1)


class _Grow(nn.Module):
    def __init__(self, inward: int, outward: int, context: ContextSpec) -> None:
        super().__init__()
        self.norm_in = _ConditionalBatchNorm(inward, context)
        self.conv_in = nn.Conv2d(inward, outward, 3, padding=1)
        self.norm_out = _ConditionalBatchNorm(outward, context)
        self.conv_out = nn.Conv2d(outward, outward, 3, padding=1)
        self.skip = nn.Conv2d(inward, outward, 1)

    def forward(self, x: Tensor, context: Context | None) -> Tensor:
        h = F.interpolate(F.relu(self.norm_in(x, context)), scale_factor=2.0)
        h = self.conv_out(F.relu(self.norm_out(self.conv_in(h), context)))
        return h + F.interpolate(self.skip(x), scale_factor=2.0)


class _Shrink(nn.Module):
    def __init__(self, inward: int, outward: int, *, shrinks: bool) -> None:
        super().__init__()
        self.shrinks = shrinks
        self.conv_in = nn.Conv2d(inward, outward, 3, padding=1)
        self.conv_out = nn.Conv2d(outward, outward, 3, padding=1)
        self.skip = nn.Identity() if inward == outward else nn.Conv2d(inward, outward, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_out(F.relu(self.conv_in(F.relu(x))))
        y = self.skip(x)
        if self.shrinks:
            h, y = F.avg_pool2d(h, 2), F.avg_pool2d(y, 2)
        return h + y


def _start(network: nn.Module) -> None:
    """Keep variances at the start; a condition begins without a say."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in network.modules():
        if isinstance(layer, _ConditionalBatchNorm) and layer.modulation is not None:
            zeroed(layer.modulation)
