"""A U-Net whose residual blocks are modulated by noise level and context.

An image goes through levels of halving resolution and back; every block of the decoder also takes
the output of the encoder's block of equal depth. Sizes need not be powers of two: halving rounds
up, and growing crops to what was there before.

References: Ronneberger et al. 2015 (U-Net); Ho et al. 2020 (for diffusion); Dhariwal & Nichol 2021,
"Diffusion Models Beat GANs" (adaptive group norm, residual resampling); Hoogeboom et al. 2023,
"simple diffusion" (space-to-depth at the stem); Kingma et al. 2021, "Variational Diffusion
Models" (Fourier features of the input).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.blocks import AttentionBlock, ResidualBlock, grow, zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import Embedding, with_waves
from undrift.networks.norms import group_norm
from undrift.networks.patches import from_patches, to_patches, with_maps
from undrift.schema import check_ranges


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a U-Net.

    Attributes:
        kind: names this configuration in a file.
        patch: side of the squares that become channels at the stem.
        width: channels of the first level.
        multipliers: channels of each level in units of ``width``, finest first.
        blocks: residual blocks per level, in encoder and decoder each.
        attention: levels with attention, 0 is the finest; -1 is the coarsest.
        head_width: channels per attention head, at most.
        embedding: size of the embedding of noise level and context; 0 means 4 * width.
        dropout: probability in the residual blocks.
        fourier: angular frequencies of sines and cosines of the input, concatenated to it: they
            resolve small differences of pixel values that convolutions would not.
    """

    kind: Literal["unet"] = "unet"
    patch: int = 1
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 2
    attention: tuple[int, ...] = ()
    head_width: int = 32
    embedding: int = 0
    dropout: float = 0.0
    fourier: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(
            self,
            "unet",
            patch=(1, 64),
            width=(1, WIDEST),
            multipliers=(1, 64),
            blocks=(1, 64),
            head_width=(1, WIDEST),
            embedding=(0, WIDEST),
            attention=(-64, 64),
            fourier=(1e-6, 1e6),
        )
        if not self.multipliers:
            raise UsageError("unet: multipliers are (), wanted one or more from 1")
        levels = len(self.multipliers)
        for level in self.attention:
            if not -levels <= level < levels:
                raise UsageError(f"unet: attention at level {level}, wanted 0 to {levels - 1}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"unet: dropout is {self.dropout}, wanted 0 to below 1")


class UNetEncoder(nn.Module):
    """The half of a U-Net that leads from the image to its coarsest features.

    Args:
        config: its shape.
        channels: of the images.
        context: sizes of the conditioning inputs. Tokens are attended to at the levels of
            ``config.attention``, at the coarsest level if there are none.

    Attributes:
        up: stages of the decoder; none of an encoder alone.
    """

    def __init__(self, config: UNetConfig, *, channels: int, context: ContextSpec) -> None:
        super().__init__()
        self.patch, self.maps, self.fourier = config.patch, context.maps, config.fourier
        self.widths = [config.width * multiplier for multiplier in config.multipliers]
        self.embedding = Embedding(_embedding(config), context)
        inputs = channels * (1 + 2 * len(config.fourier)) + context.maps
        self.stem = nn.Conv2d(inputs * config.patch**2, self.widths[0], 3, padding=1)
        self.blocks = config.blocks
        # Norms of gradients are summed in the order of registration: the decoder's stages stand
        # before `shrink`.
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        width = self.widths[0]
        for level in self.levels:
            self.down.append(_Stage(config, context, level, width))
            width = self.widths[level]
        self.shrink = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for width in self.widths[:-1]
        )

    @property
    def levels(self) -> list[int]:
        """The resolution level of each stage of the encoder."""
        return [level for level in range(len(self.widths)) for _ in range(self.blocks)]

    def features(
        self,
        x: Tensor,
        embedding: Tensor,
        context: Context | None,
        side: Callable[[int, Tensor, Tensor], Tensor] | None = None,
    ) -> list[Tensor]:
        """The features after each stage (B, width, h, w), finest first.

        Args:
            x: (B, C, H, W), of about unit variance.
            embedding: of noise level and context.
            context: parts as in the ``ContextSpec`` that the network was built for.
            side: see `UNet.forward`.
        """
        inputs = with_maps(with_waves(x, self.fourier), context, self.maps)
        h = self.stem(to_patches(inputs, self.patch))
        found: list[Tensor] = []
        for position, stage in enumerate(self.down):
            if position and position % self.blocks == 0:
                h = self.shrink[position // self.blocks - 1](h)
            before = h
            h = stage(h, embedding, context)
            if side is not None:
                h = side(position, before, h)
            found.append(h)
        return found


class UNet(UNetEncoder):
    """The network that a ``UNetConfig`` describes.

    On a CPU it is fastest in the default memory format, where group norm is, and on one that
    multiplies bfloat16 (AVX512-BF16, AMX) under autocast: 1.4 to 1.8 times as fast as float32.

    Args:
        config: its shape.
        channels: of the images, in and out.
        context: see `UNetEncoder`.
    """

    def __init__(self, config: UNetConfig, *, channels: int, context: ContextSpec) -> None:
        super().__init__(config, channels=channels, context=context)
        width = self.widths[-1]
        for level in reversed(self.levels):
            self.up.append(_Stage(config, context, level, width + self.widths[level]))
            width = self.widths[level]
        self.norm = group_norm(width)
        self.out = zeroed(nn.Conv2d(width, channels * config.patch**2, 3, padding=1))

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        context: Context | None = None,
        side: Callable[[int, Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return the network's raw prediction.

        Args:
            x: (B, C, H, W), of about unit variance.
            c_noise: (B,), the preconditioned noise level.
            context: parts as in the ``ContextSpec`` that the network was built for.
            side: ``side(position, before, after)`` returns what goes on in place of ``after``, the
                output of a stage of the encoder; ``before`` is its input. See `control`.

        Returns:
            (B, C, H, W).
        """
        size = (x.shape[2], x.shape[3])
        embedding = self.embedding(c_noise, context)
        skips = self.features(x, embedding, context, side)
        h = skips[-1]
        for position, stage in enumerate(self.up):
            if position and position % self.blocks == 0:
                h = grow(h, skips[-1])
            h = stage(torch.cat([h, skips.pop()], dim=1), embedding, context)
        h = self.out(F.silu(self.norm(h)))
        return from_patches(h, self.patch, size)


def _embedding(config: UNetConfig) -> int:
    return config.embedding or 4 * config.width


class _Stage(nn.Module):
    def __init__(self, config: UNetConfig, context: ContextSpec, level: int, inward: int) -> None:
        super().__init__()
        count = len(config.multipliers)
        width = config.width * config.multipliers[level]
        attending = {place % count for place in config.attention}
        crossing = (attending or {count - 1}) if context.tokens else set()
        self.residual = ResidualBlock(inward, width, _embedding(config), config.dropout)
        self.attention = AttentionBlock(
            width,
            config.head_width,
            attends=level in attending,
            tokens=context.tokens if level in crossing else 0,
        )

    def forward(self, x: Tensor, embedding: Tensor, context: Context | None) -> Tensor:
        return self.attention(self.residual(x, embedding), context)
