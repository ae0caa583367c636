r"""Rotary positions in two dimensions.

Half of a head's channels are turned by the row, half by the column: a pair of channels
:math:`(a, b)` at position :math:`p` becomes

.. math::

    (a \cos\omega p - b \sin\omega p,\ a \sin\omega p + b \cos\omega p),

so that the product of a query and a key depends on where they are only by their distance, on a
grid of any size (Su et al. 2021, "RoFormer"; Heo et al. 2024 for images).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from undrift.errors import UsageError

# A full turn of the fastest pair takes 6 positions; of the slowest, hundreds: images of up to
# that many patches a side stay unambiguous.
BASE = 100.0


class Rotary(nn.Module):
    """Rotations for the positions of a grid.

    Args:
        channels: of one head; a multiple of 4.
    """

    frequencies: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % 4:
            raise UsageError(f"rotary positions: {channels} channels a head, wanted multiples of 4")
        pairs = channels // 4
        frequencies = BASE ** -(torch.arange(pairs) / pairs)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, each (rows * columns, channels / 2), of all positions."""
        frequencies = self.frequencies
        row = torch.arange(rows, device=frequencies.device)[:, None, None] * frequencies
        column = torch.arange(columns, device=frequencies.device)[None, :, None] * frequencies
        angles = torch.cat(
            [row.expand(rows, columns, -1), column.expand(rows, columns, -1)], dim=2
        ).flatten(0, 1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn (B, heads, L, channels) by the rotation of each of the L positions."""
    cosine, sine = rotation
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
