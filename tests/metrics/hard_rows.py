"""Rows whose distances are hard to get right: far from the origin, copies and near-copies."""

from __future__ import annotations

import torch
from torch import Tensor


def exact(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y[None]).square().sum(dim=2)


def hard(size: int) -> tuple[Tensor, Tensor]:
    """Far from the origin, with copies, near-copies and rows that repeat."""
    draws = torch.Generator().manual_seed(size)
    x = 1e3 + torch.randn((60, size), generator=draws, dtype=torch.float64)
    x[10:20] = x[0]
    x[20:25] = x[1] + 1e-9
    y = torch.cat([x[5:40:3], 1e3 + torch.randn((20, size), generator=draws, dtype=torch.float64)])
    return x, y
