"""The blocks that a U-Net is made of: residual convolutions and attention on feature maps.

Both start as the identity (their last layer is zero), so that depth costs no signal at the start
(Goyal et al. 2017; Zhang et al. 2019, "Fixup Initialization").
"""

from __future__ import annotations

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from undrift.networks.attention import CrossAttention, SelfAttention
from undrift.networks.context import Context
from undrift.networks.embedding import required
from undrift.networks.norms import fitting_groups, group_norm, modulated_group_norm

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zeroed(layer: Layer) -> Layer:
    """Set a layer's weights and bias to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def grow(x: Tensor, like: Tensor) -> Tensor:
    """Double height and width by repeating, cropped to those of ``like``."""
    x = F.interpolate(x, scale_factor=2, mode="nearest")
    height, width = like.shape[2:]
    return x if x.shape[2:] == like.shape[2:] else x[:, :, :height, :width]


class ResidualBlock(nn.Module):
    r"""Two convolutions with adaptive group norm between them.

    .. math::

        h = W_1 * \mathrm{silu}(\mathrm{GN}(x)), \qquad
        y = P x + W_2 * \mathrm{silu}\bigl((1 + s(e)) \odot \mathrm{GN}(h) + b(e)\bigr)

    with scale :math:`s` and shift :math:`b` linear in the embedding :math:`e`, and :math:`P` the
    identity or, where the number of channels changes, a 1x1 convolution.

    Args:
        inward: channels that come in.
        outward: channels that go out.
        embedding: size of the embedding.
        dropout: probability before the second convolution.
    """

    def __init__(self, inward: int, outward: int, embedding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_in = group_norm(inward)
        self.conv_in = nn.Conv2d(inward, outward, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outward)
        self.groups = fitting_groups(outward)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(nn.Conv2d(outward, outward, 3, padding=1))
        self.skip = nn.Conv2d(inward, outward, 1) if inward != outward else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inward, H, W) and (B, embedding) -> (B, outward, H, W)."""
        scale, shift = self.modulation(embedding).chunk(2, dim=1)
        h = self.conv_in(F.silu(self.norm_in(x)))
        h = F.silu(modulated_group_norm(h, self.groups, scale + 1, shift))
        return self.skip(x) + self.conv_out(self.dropout(h))


class AttentionBlock(nn.Module):
    """Self-attention among positions, then cross-attention to tokens; either may be absent.

    Args:
        width: channels of the feature map.
        head_width: channels per head, at most.
        attends: whether there is self-attention.
        tokens: channels of the tokens to listen to; 0: none.
    """

    def __init__(self, width: int, head_width: int, *, attends: bool, tokens: int) -> None:
        super().__init__()
        heads = fitting_heads(width, head_width)
        self.self_norm = group_norm(width) if attends else None
        self.self_attention = SelfAttention(width, heads) if attends else None
        self.cross_norm = group_norm(width) if tokens else None
        self.cross_attention = CrossAttention(width, tokens, heads) if tokens else None

    def forward(self, x: Tensor, context: Context | None) -> Tensor:
        """(B, width, H, W) -> the same."""
        if self.self_attention is not None and self.self_norm is not None:
            x = x + _image(self.self_attention(_sequence(self.self_norm(x))), x)
        if self.cross_attention is not None and self.cross_norm is not None:
            tokens = required(context, "tokens")
            mask = None if context is None else context.token_mask
            x = x + _image(self.cross_attention(_sequence(self.cross_norm(x)), tokens, mask), x)
        return x


def fitting_heads(width: int, head_width: int) -> int:
    """Return the fewest heads that divide ``width`` into at most ``head_width`` channels each."""
    heads = -(-width // head_width)
    while width % heads:
        heads += 1
    return heads


def _sequence(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def _image(sequence: Tensor, like: Tensor) -> Tensor:
    return sequence.transpose(1, 2).reshape(like.shape)
