r"""Scaled dot-product attention with normalised queries and keys.

.. math::

    \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{\hat Q \hat K^T}{\sqrt d}\right) V,
    \qquad \hat q = g \odot \frac{q}{\mathrm{rms}(q)}

over heads of :math:`d` channels each. Normalised queries and keys keep the logits bounded, so
attention neither saturates nor overflows at high learning rates (Henry et al. 2020, "Query-Key
Normalization for Transformers"; Dehghani et al. 2023, "Scaling Vision Transformers to 22B").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.norms import RMSNorm
from undrift.networks.rotary import rotate

_SHORT = 256
"""Positions up to which plain products train faster than the fused kernel, see `_attended`."""


class SelfAttention(nn.Module):
    """Attention among the positions of one sequence.

    Args:
        width: channels of the sequence.
        heads: number of heads; divides ``width``.
        zero: whether the output projection starts at zero.
    """

    def __init__(self, width: int, heads: int, *, zero: bool = True) -> None:
        super().__init__()
        self.heads = _checked(heads, width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = RMSNorm(width // heads)
        self.key_norm = RMSNorm(width // heads)
        self.out = _projection(width, zero)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """(B, L, width) -> the same.

        Args:
            x: the sequence.
            rotation: turns queries and keys by their positions.
            mask: (B, L) bool, True where a position may be attended to; None: all may.
        """
        batch, length, _ = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        query, key = self.query_norm(query), self.key_norm(key)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        mask = None if mask is None else mask[:, None, None, :]
        attended = _attended(query.to(value.dtype), key.to(value.dtype), value, mask)
        return self.out(attended.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention from the positions of one sequence to the tokens of another.

    A learned token stands beside the others, so that attention is defined for a sample whose tokens
    are all masked (a dropped caption).

    Args:
        width: channels of the sequence that attends.
        tokens: channels of the tokens.
        heads: number of heads; divides ``width``.
    """

    def __init__(self, width: int, tokens: int, heads: int) -> None:
        super().__init__()
        self.heads = _checked(heads, width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(tokens, 2 * width, bias=False)
        self.silence = nn.Parameter(torch.randn(1, 1, tokens))
        self.token_norm = RMSNorm(tokens)
        self.query_norm = RMSNorm(width // heads)
        self.key_norm = RMSNorm(width // heads)
        self.out = _projection(width, zero=True)

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, width), (B, T, tokens) and a mask (B, T), False: padding -> (B, L, width)."""
        batch, length, _ = x.shape
        silence = self.silence.expand(batch, 1, -1).to(tokens.dtype)
        extended = torch.cat([silence, self.token_norm(tokens).to(tokens.dtype)], dim=1)
        query = self.query(x).view(batch, length, self.heads, -1).transpose(1, 2)
        key_value = self.key_value(extended).view(batch, extended.shape[1], 2, self.heads, -1)
        key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.query_norm(query).to(value.dtype), self.key_norm(key).to(value.dtype)
        if mask is not None:
            mask = F.pad(mask, (1, 0), value=True)[:, None, None, :]
        attended = _attended(query, key, value, mask)
        return self.out(attended.transpose(1, 2).flatten(2))


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of (B, heads, L, d) to (B, heads, T, d), by what is fastest.

    ``mask`` is bool, broadcast to (B, heads, L, T), and True where attention is allowed.

    The backward pass of torch's fused kernel is slow in bfloat16 on a CPU: with 64 positions three
    to six times as slow as plain products, with 256 one and a half times, with 576 alike.
    """
    small = query.shape[2] <= _SHORT and key.shape[2] <= _SHORT
    trained = torch.is_grad_enabled() and query.requires_grad
    if trained and small and query.device.type == "cpu" and query.dtype == torch.bfloat16:
        logits = query * query.shape[3] ** -0.5 @ key.transpose(2, 3)
        if mask is not None:
            logits = logits.masked_fill(~mask, float("-inf"))
        return torch.softmax(logits, dim=3) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _checked(heads: int, width: int) -> int:
    if heads < 1 or width % heads:
        raise UsageError(f"attention: {heads} heads do not divide {width} channels; change either")
    return heads


def _projection(width: int, zero: bool) -> nn.Linear:
    projection = nn.Linear(width, width)
    if zero:
        nn.init.zeros_(projection.weight)
    nn.init.zeros_(projection.bias)
    return projection
