r"""A convolution whose derivatives of every order are convolutions of the same few kinds.

With y = w * x, g what comes back for y, and z and v anything of the shapes of x and w:

.. math::

    y &= w * x,                                                                         \quad (1)\\
    \bar x &= \partial \langle g, y \rangle / \partial x =: X(g, w),                    \quad (2)\\
    \bar w &= \partial \langle g, y \rangle / \partial w =: W(g, x),                    \quad (3)\\
    \langle z, X(g, w) \rangle &= \langle g, w * z \rangle, \qquad
    \langle v, W(g, x) \rangle = \langle g, v * x \rangle.                              \quad (4)

All three are linear in each argument, so (4) gives the derivatives of (2) and (3) as instances of
(1) to (3). A gradient penalty needs those of (2). torch computes them in another way, with which
R3GAN of width 128 saw 0.78 times as many images per second in batches of 64 (docs/log.md).

Without gradients, as in sampling, it is torch's own convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """``torch.nn.Conv2d`` of stride 1, with its weights' names and initial values; see above.

    Args:
        inward: channels that come in.
        outward: channels that go out.
        kernel: side of the kernel.
        padding: zeros on every side.
        groups: of channels that are convolved apart.
        bias: whether a number is added to each channel.
    """

    def __init__(
        self,
        inward: int,
        outward: int,
        kernel: int,
        *,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(inward, outward, kernel, padding=padding, groups=groups, bias=bias)
        self.border = padding

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - its name in torch
        """(B, inward, H, W) -> (B, outward, H', W')."""
        return convolved(input, self.weight, self.bias, padding=self.border, groups=self.groups)


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, groups: int = 1
) -> Tensor:
    """``torch.nn.functional.conv2d`` of stride 1, under autocast too.

    Args:
        x: (B, inward, H, W).
        weight: (outward, inward / groups, height, width).
        bias: (outward,), or None.
        padding: zeros on every side.
        groups: of channels that are convolved apart.
    """
    if not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, padding=padding, groups=groups)
    if torch.is_autocast_enabled(x.device.type):
        narrow = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(narrow), weight.to(narrow)
        bias = None if bias is None else bias.to(narrow)
    return _outcome(_Forward, x, weight, bias, _Shape(padding, groups))


class _Shape(NamedTuple):
    padding: int
    groups: int


def _outcome(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    """What ``function`` gives; torch does not say that it is a tensor."""
    return function.apply(*arguments)  # pyright: ignore[reportReturnType]


def _backward(
    g: Tensor, x: Tensor, w: Tensor, shape: _Shape, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Equations (2) and (3) and the sum for the bias, those that are wanted."""
    sides = [shape.padding] * 2
    return torch.ops.aten.convolution_backward(
        g, x, w, [len(w)], [1, 1], sides, [1, 1], False, [0, 0], shape.groups, wanted
    )


class _Forward(torch.autograd.Function):
    """Equation (1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, shape: _Shape) -> Tensor:  # noqa: ANN401, E501
        ctx.save_for_backward(x, w)
        ctx.shape = shape
        return F.conv2d(x, w, bias, padding=shape.padding, groups=shape.groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (g,) = grads
        x, w = ctx.saved_tensors
        for_x, for_w, for_bias, _ = ctx.needs_input_grad
        if not torch.is_grad_enabled():  # no further derivative is needed
            wanted = [for_x, for_w, for_bias]
            return (*_backward(g, x, w, ctx.shape, wanted), None)
        return (
            _outcome(_ForInput, g, x, w, ctx.shape) if for_x else None,
            _outcome(_ForWeight, g, x, w, ctx.shape) if for_w else None,
            g.sum((0, 2, 3)) if for_bias else None,
            None,
        )


class _ForInput(torch.autograd.Function):
    """Equation (2), X(g, w); x lends its shape."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, w: Tensor, shape: _Shape) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(g, w)
        ctx.shape = shape
        return _backward(g, x, w, shape, [True, False, False])[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (z,) = grads
        g, w = ctx.saved_tensors
        for_g, _, for_w, _ = ctx.needs_input_grad
        return (
            _outcome(_Forward, z, w, None, ctx.shape) if for_g else None,  # (4)
            None,
            _outcome(_ForWeight, g, z, w, ctx.shape) if for_w else None,  # (4)
            None,
        )


class _ForWeight(torch.autograd.Function):
    """Equation (3), W(g, x); w lends its shape."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, w: Tensor, shape: _Shape) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(g, x)
        ctx.shape = shape
        return _backward(g, x, w, shape, [False, True, False])[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (v,) = grads
        g, x = ctx.saved_tensors
        for_g, for_x, _, _ = ctx.needs_input_grad
        return (
            _outcome(_Forward, x, v, None, ctx.shape) if for_g else None,  # (4)
            _outcome(_ForInput, g, x, v, ctx.shape) if for_x else None,  # (4)
            None,
            None,
        )
