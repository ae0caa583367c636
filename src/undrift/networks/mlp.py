"""An MLP for points: data without neighbourhoods, such as toy 2-D data.

Residual blocks of two linear layers with adaptive RMS norm, the same modulation as in the larger
networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.blocks import zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import Embedding, with_waves
from undrift.networks.norms import RMSNorm
from undrift.networks.patches import with_maps
from undrift.schema import check_ranges

LEAST_SIDE = 4
"""Pixels on the short side from which an image has neighbourhoods worth convolving."""


def are_points(size: tuple[int, int]) -> bool:
    """Whether images of ``size`` (H, W) are points: too narrow for convolutions or patches."""
    return min(size) < LEAST_SIDE


@dataclass(frozen=True)
class MLPConfig:
    """Configuration of an MLP.

    Attributes:
        kind: names this configuration in a file.
        width: of the hidden layers.
        blocks: residual blocks of two layers each.
        dropout: probability in the blocks.
        fourier: angular frequencies of sines and cosines of the input, concatenated to it: without
            them an MLP is slow to learn fine structure.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = 128
    blocks: int = 3
    dropout: float = 0.0
    fourier: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(self, "mlp", width=(1, WIDEST), blocks=(1, 512), fourier=(0, float("inf")))
        if not 0 <= self.dropout < 1:
            raise UsageError(f"mlp: dropout is {self.dropout}, wanted 0 to below 1")
        if not all(0 < wave < float("inf") for wave in self.fourier):
            raise UsageError(f"mlp: fourier {self.fourier}, wanted frequencies above 0")


class MLP(nn.Module):
    """The network that an ``MLPConfig`` describes; tokens enter as their masked mean.

    Args:
        config: its shape.
        channels: of the data, in and out.
        size: (H, W) of the data; (1, 1) for points, which may also come as (B, C).
        context: sizes of the conditioning inputs.
    """

    def __init__(
        self, config: MLPConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.shape, self.maps, self.fourier = (channels, *size), context.maps, config.fourier
        numbers = prod(self.shape)
        self.embedding = Embedding(config.width, context)
        self.tokens = nn.Linear(context.tokens, config.width) if context.tokens else None
        inputs = numbers * (1 + 2 * len(config.fourier)) + context.maps * prod(size)
        self.stem = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(
            _Block(config.width, config.dropout) for _ in range(config.blocks)
        )
        self.norm = RMSNorm(config.width)
        self.out = zeroed(nn.Linear(config.width, numbers))

    def forward(self, x: Tensor, c_noise: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) or (B, C), and a noise level (B,) -> the same shape as ``x``."""
        image = x.reshape(-1, *self.shape)
        embedding = self.embedding(c_noise, context)
        if self.tokens is not None:
            embedding = embedding + self.tokens(_mean_token(context))
        inputs = with_maps(with_waves(image, self.fourier), context, self.maps)
        h = self.stem(inputs.flatten(1))
        for block in self.blocks:
            h = block(h, embedding)
        return self.out(F.silu(self.norm(h))).reshape(x.shape)


class _Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(width, gain=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.inward = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.outward = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding).chunk(2, dim=1)
        h = F.silu(self.inward(torch.addcmul(shift, self.norm(x), scale + 1)))
        return x + self.outward(self.dropout(h))


def _mean_token(context: Context | None) -> Tensor:
    if context is None or context.tokens is None:
        raise UsageError("network: built for context.tokens but got none; pass a Context with it")
    if context.token_mask is None:
        return context.tokens.mean(dim=1)
    mask = context.token_mask[:, :, None].to(context.tokens.dtype)
    return (context.tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
