r"""A diffusion transformer: patches as tokens, modulated by noise level and context.

Each of the blocks computes

.. math::

    x \leftarrow x + g_1 \odot \mathrm{Attention}\bigl((1 + s_1) \odot \mathrm{RMS}(x) + b_1\bigr),
    \qquad
    x \leftarrow x + g_2 \odot \mathrm{SwiGLU}\bigl((1 + s_2) \odot \mathrm{RMS}(x) + b_2\bigr)

with scales, shifts and gates linear in the embedding and zero at the start (adaLN-zero), so that
every block starts as the identity.

References: Peebles & Xie 2023, "Scalable Diffusion Models with Transformers"; Zhang & Sennrich 2019
(RMS norm); Shazeer 2020 (SwiGLU); Su et al. 2021 (rotary positions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.attention import CrossAttention, SelfAttention
from undrift.networks.blocks import zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import Embedding, required
from undrift.networks.norms import RMSNorm
from undrift.networks.patches import from_patches, grid_size, to_patches, with_maps
from undrift.networks.rotary import Rotary
from undrift.schema import check_ranges

Size = Literal["S", "B", "L", "XL"]
SIZES: dict[Size, tuple[int, int, int]] = {  # width, depth, heads: table 1 of Peebles & Xie
    "S": (384, 12, 6),
    "B": (768, 12, 12),
    "L": (1024, 24, 16),
    "XL": (1152, 28, 16),
}


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of a diffusion transformer.

    Attributes:
        kind: names this configuration in a file.
        patch: side of the squares that become tokens.
        width: channels of a token; a multiple of 4 * heads.
        depth: number of blocks.
        heads: attention heads.
        mlp: hidden units of the feed-forward part in units of ``width``, counted as those of a
            plain MLP; SwiGLU has 2/3 of them, which makes the same number of parameters.
        dropout: probability at the end of both parts of a block.
    """

    kind: Literal["transformer"] = "transformer"
    patch: int = 2
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp: float = 4.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(
            self,
            "transformer",
            patch=(1, 64),
            width=(1, WIDEST),
            depth=(1, 512),
            heads=(1, 1024),
            mlp=(0, 64),
        )
        if self.width % (4 * self.heads):
            raise UsageError(
                f"transformer: width {self.width} with {self.heads} heads; wanted a width that "
                f"{4 * self.heads} divides"
            )
        if self.mlp <= 0:
            raise UsageError(f"transformer: mlp is {self.mlp}, wanted more than 0")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"transformer: dropout is {self.dropout}, wanted 0 to below 1")

    @classmethod
    def preset(cls, size: Size, *, patch: int = 2, dropout: float = 0.0) -> TransformerConfig:
        """Return the shape that the literature calls DiT-``size``/``patch``.

        Raises:
            UsageError: if there is no such size.
        """
        if size not in SIZES:
            raise UsageError(f"transformer: size {size!r}, wanted one of {', '.join(SIZES)}")
        width, depth, heads = SIZES[size]
        return cls(patch=patch, width=width, depth=depth, heads=heads, dropout=dropout)


class Transformer(nn.Module):
    """The network that a ``TransformerConfig`` describes.

    Args:
        config: its shape.
        channels: of the images, in and out.
        context: sizes of the conditioning inputs.
    """

    def __init__(self, config: TransformerConfig, *, channels: int, context: ContextSpec) -> None:
        super().__init__()
        self.patch, self.maps, width = config.patch, context.maps, config.width
        patched = config.patch**2
        self.stem = nn.Linear((channels + context.maps) * patched, width)
        self.embedding = Embedding(width, context)
        self.rotary = Rotary(width // config.heads)
        self.blocks = nn.ModuleList(_Block(config, context.tokens) for _ in range(config.depth))
        self.norm = RMSNorm(width, gain=False)
        self.modulation = zeroed(nn.Linear(width, 2 * width))
        self.out = zeroed(nn.Linear(width, channels * patched))

    def forward(self, x: Tensor, c_noise: Tensor, context: Context | None = None) -> Tensor:
        """Return the network's raw prediction.

        Args:
            x: (B, C, H, W), of about unit variance.
            c_noise: (B,), the noise level as the preconditioning words it.
            context: parts as in the ``ContextSpec`` that the network was built for.

        Returns:
            (B, C, H, W).
        """
        size = (x.shape[2], x.shape[3])
        rows, columns = grid_size(size, self.patch)
        embedding = self.embedding(c_noise, context)
        patches = to_patches(with_maps(x, context, self.maps), self.patch)
        h = self.stem(patches.flatten(2).transpose(1, 2))
        rotation = self.rotary(rows, columns)
        for block in self.blocks:
            h = block(h, embedding, rotation, context)
        scale, shift = self.modulation(embedding)[:, None].chunk(2, dim=2)
        h = self.out(torch.addcmul(shift, self.norm(h), scale + 1))
        return from_patches(h.transpose(1, 2).unflatten(2, (rows, columns)), self.patch, size)


class _Block(nn.Module):
    def __init__(self, config: TransformerConfig, tokens: int) -> None:
        super().__init__()
        width = config.width
        hidden = max(8, round(config.mlp * width * 2 / 3 / 8) * 8)
        self.modulation = zeroed(nn.Linear(width, 6 * width))
        self.norm = RMSNorm(width, gain=False)
        self.attention = SelfAttention(width, config.heads, zero=False)
        self.cross_norm = RMSNorm(width) if tokens else None
        self.cross_attention = CrossAttention(width, tokens, config.heads) if tokens else None
        self.gate_and_value = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        rotation: tuple[Tensor, Tensor],
        context: Context | None,
    ) -> Tensor:
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = self.modulation(embedding)[
            :, None
        ].chunk(6, dim=2)
        h = self.attention(torch.addcmul(shift_1, self.norm(x), scale_1 + 1), rotation)
        x = torch.addcmul(x, gate_1, self.dropout(h))
        if self.cross_attention is not None and self.cross_norm is not None:
            tokens = required(context, "tokens")
            mask = None if context is None else context.token_mask
            x = x + self.cross_attention(self.cross_norm(x), tokens, mask)
        h = torch.addcmul(shift_2, self.norm(x), scale_2 + 1)
        gate, value = self.gate_and_value(h).chunk(2, dim=2)
        return torch.addcmul(x, gate_2, self.dropout(self.down(F.silu(gate) * value)))
