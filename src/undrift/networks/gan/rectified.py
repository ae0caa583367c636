r"""A leaky ReLU that is cheap to differentiate twice.

.. math:: a(x) = \max(x, \lambda x), \qquad
          \bar x = a'(x)\, g, \qquad \partial \bar x / \partial g = a'(x),
          \quad \partial \bar x / \partial x = 0                                        \quad (1)

almost everywhere. torch has the zeros of (1) filled in and added, one pass over memory each, for
every layer of a discriminator under a gradient penalty; here they are left out. The sign of a(x) is
that of x, so only a(x) is kept, and x is overwritten.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rectified(x: Tensor, slope: float) -> Tensor:
    """Leaky ReLU of ``slope`` in (0, 1), in place of ``x``, which must not be used again."""
    if not torch.is_grad_enabled():
        return F.leaky_relu_(x, slope)
    return _Forward.apply(x, slope)  # pyright: ignore[reportReturnType]


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:  # noqa: ANN401
        ctx.mark_dirty(x)
        y = F.leaky_relu_(x, slope)
        ctx.save_for_backward(y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (y,) = ctx.saved_tensors
        return _Slope.apply(grads[0], y, ctx.slope), None  # pyright: ignore[reportReturnType]


class _Slope(torch.autograd.Function):
    """a'(x) g, from a(x)."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor, slope: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(y)
        ctx.slope = slope
        return torch.ops.aten.leaky_relu_backward(g, y, slope, True)  # noqa: FBT003

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (y,) = ctx.saved_tensors
        return _Slope.apply(grads[0], y, ctx.slope), None, None  # pyright: ignore[reportReturnType]
