r"""The network of the standard FID: TensorFlow's Inception graph of 2015-12-05, in plain torch.

Architecture: Szegedy et al., "Rethinking the Inception architecture for computer vision" (2015),
figures 5, 6 and 7, as the released graph has it, which differs from the networks usually trained
today: it has 1008 logits, no auxiliary head at inference, average pools that divide by the pixels
there are rather than by nine at the border, and a max pool in the last block.

Parameters are named as in the weight file of pytorch-fid
(``pt_inception-2015-12-05-6726825d.pth``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 299
FEATURES = 2048
CLASSES = 1008


class InceptionNetwork(nn.Module):
    """Images (B, 3, 299, 299) in [-1, 1) to features (B, 2048), the mean over the last grid."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = _Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = _Unit(80, 192, 3)
        self.Mixed_5b = _BlockA(192, pooled=32)
        self.Mixed_5c = _BlockA(256, pooled=64)
        self.Mixed_5d = _BlockA(288, pooled=64)
        self.Mixed_6a = _ReductionB(288)
        self.Mixed_6b = _BlockC(768, inner=128)
        self.Mixed_6c = _BlockC(768, inner=160)
        self.Mixed_6d = _BlockC(768, inner=160)
        self.Mixed_6e = _BlockC(768, inner=192)
        self.Mixed_7a = _ReductionD(768)
        self.Mixed_7b = _BlockE(1280, pool=border_average)
        self.Mixed_7c = _BlockE(2048, pool=_local_maximum)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 2048), float32; `fc` makes logits of them."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # 64 x 147 x 147
        x = _halve(x)  # 73 x 73
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # 192 x 71 x 71
        x = _halve(x)  # 35 x 35
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # 288 x 35 x 35
        x = self.Mixed_6a(x)  # 768 x 17 x 17
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7a(x)  # 1280 x 8 x 8
        x = self.Mixed_7c(self.Mixed_7b(x))  # 2048 x 8 x 8
        return x.mean(dim=(2, 3))


def resize_as_tensorflow_1(images: Tensor, side: int) -> Tensor:
    """``images`` (B, C, H, W) float32 to (B, C, side, side), as ``tf.image.resize_bilinear`` did.

    Destination pixel i samples source position i * (size / side), without the half pixel and
    without averaging when it shrinks; the last row and column repeat. Products and sums are
    float32 and in TensorFlow's order, rows after columns, so that the results are the same bits.
    """
    top, bottom, down = _positions(images.shape[2], side, images.device)
    left, right, across = _positions(images.shape[3], side, images.device)
    upper, lower = images[:, :, top], images[:, :, bottom]
    upper_left, lower_left = upper[..., left], lower[..., left]
    above = upper_left + (upper[..., right] - upper_left) * across
    below = lower_left + (lower[..., right] - lower_left) * across
    return above + (below - above) * down[:, None]


def border_average(x: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels; at the border over those that there are."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _positions(size: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Index before, index after, and the way between them in [0, 1), for each destination."""
    scale = torch.tensor(size / side, dtype=torch.float32, device=device)
    at = torch.arange(side, dtype=torch.float32, device=device) * scale
    before = at.long()
    return before, (before + 1).clamp(max=size - 1), at - before


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2)


def _local_maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


class _Unit(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _across(inputs: int, outputs: int, length: int) -> _Unit:
    """A kernel of one row."""
    return _Unit(inputs, outputs, (1, length), padding=(0, length // 2))


def _along(inputs: int, outputs: int, length: int) -> _Unit:
    """A kernel of one column."""
    return _Unit(inputs, outputs, (length, 1), padding=(length // 2, 0))


class _BlockA(nn.Module):
    """Figure 5: on the 35 x 35 grid."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Unit(inputs, 64, 1)
        self.branch5x5_1 = _Unit(inputs, 48, 1)
        self.branch5x5_2 = _Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, padding=1)
        self.branch_pool = _Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(border_average(x)),
        ]
        return torch.cat(parts, dim=1)


class _ReductionB(nn.Module):
    """35 x 35 to 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Unit(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, _halve(x)], dim=1)


class _BlockC(nn.Module):
    """Figure 6: 7 x 7 kernels in two one-dimensional parts, on the 17 x 17 grid."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Unit(inputs, 192, 1)
        self.branch7x7_1 = _Unit(inputs, inner, 1)
        self.branch7x7_2 = _across(inner, inner, 7)
        self.branch7x7_3 = _along(inner, 192, 7)
        self.branch7x7dbl_1 = _Unit(inputs, inner, 1)
        self.branch7x7dbl_2 = _along(inner, inner, 7)
        self.branch7x7dbl_3 = _across(inner, inner, 7)
        self.branch7x7dbl_4 = _along(inner, inner, 7)
        self.branch7x7dbl_5 = _across(inner, 192, 7)
        self.branch_pool = _Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        parts = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(border_average(x)),
        ]
        return torch.cat(parts, dim=1)


class _ReductionD(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Unit(inputs, 192, 1)
        self.branch3x3_2 = _Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Unit(inputs, 192, 1)
        self.branch7x7x3_2 = _across(192, 192, 7)
        self.branch7x7x3_3 = _along(192, 192, 7)
        self.branch7x7x3_4 = _Unit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        parts = [self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(seven), _halve(x)]
        return torch.cat(parts, dim=1)


class _BlockE(nn.Module):
    """Figure 7: branches that fork, on the 8 x 8 grid; the graph's two differ in their pool."""

    def __init__(self, inputs: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Unit(inputs, 320, 1)
        self.branch3x3_1 = _Unit(inputs, 384, 1)
        self.branch3x3_2a = _across(384, 384, 3)
        self.branch3x3_2b = _along(384, 384, 3)
        self.branch3x3dbl_1 = _Unit(inputs, 448, 1)
        self.branch3x3dbl_2 = _Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _across(384, 384, 3)
        self.branch3x3dbl_3b = _along(384, 384, 3)
        self.branch_pool = _Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return torch.cat(parts, dim=1)
