"""Linear operators on images: what a camera, a file format or a scanner did to them.

Each maps images ``x`` of shape (B, C, H, W) to measurements ``y = A x``, whose shape it names; its
adjoint has ``<A x, y> = <x, A^T y>`` for all x and y. Rows of A sum to 1 or to 0, so that pixel
values keep their range, but for those of `Projections`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from undrift.errors import UsageError, one_line
from undrift.files.own_code import own_function
from undrift.randomness import generator

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level, of ITU-R BT.601, as Pillow has them."""

Shape = tuple[int, int, int]


class Operator(Protocol):
    """A linear map A from images (B, C, H, W) to measurements."""

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """(C, H, W) of the measurement of an image of ``image_shape`` (C, H, W).

        Raises:
            UsageError: for images that it cannot be applied to.
        """
        ...

    def apply(self, x: Tensor) -> Tensor:
        """A x."""
        ...

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """A^T y, images (B, *image_shape)."""
        ...


@dataclass(frozen=True)
class Blur:
    """Convolution with a Gaussian of standard deviation ``width`` pixels, edges repeated.

    Raises:
        UsageError: for a width that is not positive.
    """

    width: float

    def __post_init__(self) -> None:
        if not 0 < self.width < 1000:
            raise UsageError(f"blur:{self.width:g}: give a width in pixels above 0, as blur:2")

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        return image_shape

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return self._along(self._along(x, -1, transposed=False), -2, transposed=False)

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        return self._along(self._along(y, -2, transposed=True), -1, transposed=True)

    def _along(self, x: Tensor, axis: int, *, transposed: bool) -> Tensor:
        rows = self._matrix(x.shape[axis]).to(x)
        rows = rows.T if transposed else rows
        return (x.transpose(axis, -1) @ rows.T).transpose(axis, -1)

    def _matrix(self, size: int) -> Tensor:
        """(size, size) float64: row i averages about pixel i."""
        reach = math.ceil(4 * self.width)
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64, device="cpu")
        kernel = (-(offsets**2) / (2 * self.width**2)).exp()
        kernel = kernel / kernel.sum()
        matrix = torch.zeros(size, size, dtype=torch.float64, device="cpu")
        at = torch.arange(size, dtype=torch.int64, device="cpu")
        for offset, weight in zip(offsets.long(), kernel, strict=True):
            matrix.index_put_((at, (at + offset).clamp(0, size - 1)), weight, accumulate=True)
        return matrix


@dataclass(frozen=True)
class Downsample:
    """The mean of each block of ``factor`` x ``factor`` pixels.

    Raises:
        UsageError: for a factor below 2.
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise UsageError(f"downsample:{self.factor}: give a factor of at least 2")

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        channels, height, width = image_shape
        if height % self.factor or width % self.factor:
            raise UsageError(
                f"downsample:{self.factor}: images of {width}x{height} pixels are not made of such "
                "blocks; give a factor that divides both sides"
            )
        return channels, height // self.factor, width // self.factor

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        spread = y.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return spread / self.factor**2


@dataclass(frozen=True)
class Grey:
    """The brightness of a colour image, one channel."""

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        if image_shape[0] != len(LUMA):
            raise UsageError(
                f"grey: images of {image_shape[0]} channels; it needs red, green and blue"
            )
        return 1, *image_shape[1:]

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return (x * self._weights(x)).sum(1, keepdim=True)

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        return y * self._weights(y)

    @staticmethod
    def _weights(x: Tensor) -> Tensor:
        return torch.tensor(LUMA, dtype=x.dtype, device=x.device)[:, None, None]


@dataclass(frozen=True, eq=False)
class Mask:
    """Some pixels of each image; 0 stands where nothing is known.

    Attributes:
        known: bool, broadcastable to images (B, C, H, W); True where a pixel is known.
    """

    known: Tensor

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        return image_shape

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return torch.where(self.known.to(x.device), x, 0.0)

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        return self.apply(y)


@dataclass(frozen=True)
class Projections:
    """Random directions: each measured value is a weighted sum of all values of an image.

    The rows are orthonormal, drawn from a seed; the measurement is one channel, one row high.

    Attributes:
        count: rows, at least 1 and at most as many as an image has values.
        seed: of the directions.

    Raises:
        UsageError: for no rows.
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"projections:{self.count}: give at least 1")

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        values = math.prod(image_shape)
        if self.count > values:
            raise UsageError(f"projections:{self.count}: an image has {values} values; give fewer")
        return 1, 1, self.count

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        rows = self._rows(x.shape[1:].numel()).to(x)
        return (x.flatten(1) @ rows.T)[:, None, None]

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        return (y.flatten(1) @ self._rows(math.prod(image_shape)).to(y)).reshape(-1, *image_shape)

    def _rows(self, size: int) -> Tensor:
        """(count, size) float64, orthonormal."""
        draws = generator(self.seed, "projections")
        drawn = torch.randn(size, self.count, generator=draws, dtype=torch.float64, device="cpu")
        return torch.linalg.qr(drawn).Q.T


@dataclass(frozen=True)
class Quantise:
    """Few levels of brightness: every value is rounded to the nearest of ``levels``.

    Rounding is taken for the identity with an error that is even over a spacing, `error`.

    Attributes:
        levels: evenly spaced from 0 to 255, at least 2.

    Raises:
        UsageError: for fewer than 2 or more than 256.
    """

    levels: int

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 256:
            raise UsageError(f"quantise:{self.levels}: give from 2 to 256 levels")

    @property
    def error(self) -> float:
        """Standard deviation of the rounding error, in pixel values."""
        return 255 / (self.levels - 1) / math.sqrt(12)

    def measure(self, pixels: Tensor) -> Tensor:
        """``pixels``, 0 to 255, rounded."""
        spacing = 255 / (self.levels - 1)
        return (pixels / spacing).round().clamp(0, self.levels - 1) * spacing

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        return image_shape

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`; the identity."""
        return x

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`; the identity."""
        return y


@dataclass(frozen=True)
class OwnOperator:
    """A linear function of the user's own, with the adjoint that its derivative gives.

    Attributes:
        name: for messages, as ``module:function``.
        function: from images (B, C, H, W), of any floating type and range, to (B, C', H', W'),
            differentiable by torch, each image by itself.
    """

    name: str
    function: Callable[[Tensor], Tensor]

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`; here the function is tried, on values of +-255.

        Raises:
            UsageError: it fails, mixes images, is not linear, or torch cannot differentiate it.
        """
        draws = generator(0, "own operator")
        x = torch.rand(3, *image_shape, generator=draws, dtype=torch.float32, device="cpu")
        x = 255 * (2 * x - 1)
        x[2] = x[0] - 2 * x[1]
        y, alone = self._tried(x), [self._tried(one) for one in x.split(1)]
        if y.ndim != 4 or len(y) != 3 or not y.numel():
            raise UsageError(
                f"operator {self.name}: of images {tuple(x.shape)} it made {tuple(y.shape)}; "
                "wanted four dimensions, the first as it was, and at least one value"
            )
        near = 1e-4 * float(y.abs().max()) + 1e-12
        shape = (1, *y.shape[1:])
        if any(one.shape != shape for one in alone) or not torch.allclose(
            torch.cat(alone), y, atol=near
        ):
            raise UsageError(f"operator {self.name}: an image's result depends on other images")
        if not torch.allclose(y[2], y[0] - 2 * y[1], atol=near):
            raise UsageError(f"operator {self.name}: it is not linear, A(x - 2z) is not Ax - 2Az")
        other = torch.randn(y.shape, generator=draws, dtype=torch.float32, device="cpu")
        try:
            back = self.adjoint(other, image_shape).detach()
        except Exception as error:  # it is the user's code
            raise UsageError(
                f"operator {self.name}: torch cannot differentiate it ({one_line(error)})"
            ) from error
        ahead = float((y.double() * other).sum())
        if abs(ahead - float((x.double() * back).sum())) > 1e-4 * float(y.norm() * other.norm()):
            raise UsageError(
                f"operator {self.name}: <Ax, y> is not <x, A'y> with the A' that torch "
                "differentiates; no part of it may be detached"
            )
        return (y.shape[1], y.shape[2], y.shape[3])

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return self.function(x)

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`; the gradient of <A x, y>."""
        with torch.enable_grad():
            x = y.new_zeros(len(y), *image_shape).requires_grad_()
            return torch.autograd.grad((self.function(x) * y).sum(), x, create_graph=True)[0]

    def _tried(self, x: Tensor) -> Tensor:
        try:
            with torch.no_grad():
                y = self.function(x.clone())
            if not isinstance(y, Tensor) or not y.is_floating_point():
                found = y.dtype if isinstance(y, Tensor) else type(y).__name__
                raise TypeError(f"it returned {found}, wanted a tensor of floating type")
        except Exception as error:  # it is the user's code
            raise UsageError(
                f"operator {self.name}: of images {tuple(x.shape)} it failed ({one_line(error)})"
            ) from error
        return y


def measured(operator: Operator, pixels: Tensor) -> Tensor:
    """What ``operator`` makes of ``pixels`` (B, C, H, W), 0 to 255, without noise."""
    return operator.measure(pixels) if isinstance(operator, Quantise) else operator.apply(pixels)


@dataclass(frozen=True)
class InModelSpace:
    """An operator on pixels as one on a model's space, ``pixels = shift + scale z``.

    With ``A pixels = A shift + A (scale z)``, the measurement of z is ``A pixels - A shift``.

    Attributes:
        operator: on pixels.
        shift: broadcastable to images (B, C, H, W).
        scale: likewise.
    """

    operator: Operator
    shift: Tensor
    scale: Tensor

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """See `Operator.measurement_shape`."""
        return self.operator.measurement_shape(image_shape)

    def apply(self, x: Tensor) -> Tensor:
        """See `Operator.apply`."""
        return self.operator.apply(x * self.scale.to(x))

    def adjoint(self, y: Tensor, image_shape: Shape) -> Tensor:
        """See `Operator.adjoint`."""
        return self.operator.adjoint(y, image_shape) * self.scale.to(y)

    def measured(self, pixels: Tensor, image_shape: Shape) -> Tensor:
        """What was measured of z, of measured ``pixels`` (B, ...)."""
        constant = self.shift.to(pixels).expand(1, *image_shape)
        return pixels - self.operator.apply(constant)


_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

_BY_NAME: dict[str, tuple[Callable[[str], Operator], str]] = {
    "blur": (lambda text: Blur(float(text)), "blur:2"),
    "downsample": (lambda text: Downsample(int(text)), "downsample:4"),
    "quantise": (lambda text: Quantise(int(text)), "quantise:8"),
}
OPERATORS = ("blur:WIDTH", "downsample:FACTOR", "quantise:LEVELS", "grey", "module:function")
"""How operators are spelled."""


def parse_operator(text: str) -> Operator:
    """The operator that ``text`` names, such as ``blur:2``, ``downsample:4`` or ``grey``.

    ``module:function`` is one of the user's own, whose code is run.

    Raises:
        UsageError: for anything else.
    """
    name, _, number = text.partition(":")
    if name in ("grey", "gray") and not number:
        return Grey()
    if name not in _BY_NAME and _OWN.fullmatch(text):
        return OwnOperator(text, own_function("operator", text)[1])
    if name not in _BY_NAME:
        raise UsageError(f"operator {text[:60]!r}: wanted {', '.join(OPERATORS)}")
    make, example = _BY_NAME[name]
    try:
        return make(number)
    except (ValueError, OverflowError):
        raise UsageError(f"operator {text[:60]!r}: give a number, as {example}") from None
