"""Thresholding: denoised images are kept within the range that the data has.

A denoiser's estimate of the image may leave the data's range, the more so under strong guidance,
and a sampler carries on what has left it. Two remedies, as denoiser -> denoiser wrappers that know
no solver, around any guidance:

    static      D' = clip(D, low, high)                                                   (1)
    dynamic     D' = m + clip(D - m, -s, s) h / s,   s = max(h, q-quantile of |D - m|)    (2)

with ``m = (low + high) / 2`` and ``h = (high - low) / 2`` of each channel and the quantile taken
over each image alone, so that an image does not depend on its batch-mates.

The range is that of the space the model lives in, not of bytes. A codec that subtracts each
channel's mean and divides by its standard deviation takes the byte range [0, 1] to
``[(0 - mean) / std, (1 - mean) / std]``, lopsided for dark or bright data and another one for each
channel: see `DataRange.of_codec`. In a space of latents, where pixels have no range, there is
nothing to clip to.

References: Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models", whose code clips,
for (1); Saharia et al. 2022, "Photorealistic Text-to-Image Diffusion Models with Deep Language
Understanding", section 2.3, for (2) with m = 0 and h = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from undrift.codec import Codec
from undrift.codec.affine import Affine
from undrift.diffusion import Denoise, Prediction
from undrift.errors import UsageError

if TYPE_CHECKING:
    from undrift.networks import Context


@dataclass(frozen=True)
class DataRange:
    """The smallest and largest value of each channel, in the model's space.

    Attributes:
        low: (C,) or (), for all channels.
        high: likewise, above ``low``.

    Raises:
        UsageError: for shapes that differ or a range that is empty.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.ndim > 1:
            raise UsageError(
                f"data range of shapes {tuple(self.low.shape)} and {tuple(self.high.shape)}: "
                "give one number per channel, or one for all"
            )
        if not bool((self.low < self.high).all()):
            raise UsageError(
                f"data range {self.low.tolist()} to {self.high.tolist()}: low must be below high"
            )

    @classmethod
    def of(cls, low: float, high: float) -> DataRange:
        """Return one range for all channels."""
        return cls(
            torch.tensor(low, dtype=torch.float32, device="cpu"),
            torch.tensor(high, dtype=torch.float32, device="cpu"),
        )

    @classmethod
    def of_codec(cls, codec: Codec, channels: int) -> DataRange:
        """Return the range that bytes have in the space of a codec.

        Args:
            codec: one that shifts and scales each channel.
            channels: of the images.

        Raises:
            UsageError: for a codec whose space is not one of pixels.
        """
        if not isinstance(codec, Affine):
            raise UsageError(
                f"thresholding in the space of {type(codec).__name__}: only pixels have a range; "
                "leave thresholding out"
            )
        ends = torch.tensor([0, 255], dtype=torch.uint8, device="cpu").reshape(2, 1, 1, 1)
        low, high = codec.encode(ends.expand(2, channels, 1, 1)).flatten(1)
        return cls(low, high)

    def like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return low and high, broadcastable to x (B, C, ...), in its dtype and on its device.

        Raises:
            UsageError: if x has another number of channels.
        """
        if self.low.ndim and (x.ndim < 2 or x.shape[1] != len(self.low)):
            raise UsageError(f"data range of {len(self.low)} channels, images {tuple(x.shape[1:])}")
        shape = (-1, *[1] * max(0, x.ndim - 2)) if self.low.ndim else ()
        return self.low.to(x).reshape(shape), self.high.to(x).reshape(shape)


QUANTILE = 0.995
"""Default of q in (2), a usual choice."""


@dataclass(frozen=True)
class Threshold:
    """Which of the two, by name.

    Attributes:
        kind: clip (1), or draw back (2).
        quantile: q of (2); (1) has none.

    Raises:
        UsageError: for a quantile outside (0, 1].
    """

    kind: Literal["static", "dynamic"]
    quantile: float = QUANTILE

    def __post_init__(self) -> None:
        check_quantile(self.quantile)

    @classmethod
    def parse(cls, name: str) -> Threshold:
        """Return the threshold called ``static``, ``dynamic`` or ``dynamic:QUANTILE``.

        Raises:
            UsageError: for anything else.
        """
        kind, colon, rest = name.partition(":")
        if name == "static":
            return cls("static")
        if kind != "dynamic":
            raise UsageError(
                f"threshold {name!r}: choose static, or dynamic, perhaps with its quantile as in "
                f"dynamic:{QUANTILE}"
            )
        try:
            return cls("dynamic", float(rest) if colon else QUANTILE)
        except ValueError:
            raise UsageError(
                f"threshold {name!r}: give a number after the colon, as in dynamic:{QUANTILE}"
            ) from None

    def __str__(self) -> str:
        return "static" if self.kind == "static" else f"dynamic:{self.quantile:g}"

    def around(self, denoiser: Denoise, data: DataRange) -> Denoise:
        """Return ``denoiser``, guidance included, with its images kept in the range ``data``."""
        if self.kind == "static":
            return StaticThreshold(denoiser, data)
        return DynamicThreshold(denoiser, data, self.quantile)


def check_quantile(quantile: float) -> None:
    """Refuse a q of (2) outside (0, 1].

    Raises:
        UsageError: for such a one.
    """
    if not 0 < quantile <= 1:
        raise UsageError(f"quantile {quantile}: give a number above 0 and up to 1")


class StaticThreshold:
    """A denoiser whose images are clipped to the data's range, by (1).

    Args:
        denoiser: the wrapped denoiser, guidance included.
        data: the range, in the model's space.
    """

    def __init__(self, denoiser: Denoise, data: DataRange) -> None:
        self.denoiser = denoiser
        self.data = data

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Denoise and clip; epsilon and the other views follow from the clipped image."""
        prediction = self.denoiser(x_t, t, context)
        low, high = self.data.like(prediction.x0)
        return replace(prediction, x0=prediction.x0.clamp(low, high))  # (1)


class DynamicThreshold:
    """A denoiser whose images are drawn back into the data's range where many values leave it.

    By (2): an image of which at most a share of ``1 - quantile`` lies outside is clipped, others
    are scaled down about the middle of the range, so that they keep their contrasts.

    Args:
        denoiser: the wrapped denoiser, guidance included.
        data: the range, in the model's space.
        quantile: q of (2), between 0 and 1.

    Raises:
        UsageError: for a quantile outside (0, 1].
    """

    def __init__(self, denoiser: Denoise, data: DataRange, quantile: float = QUANTILE) -> None:
        check_quantile(quantile)
        self.denoiser = denoiser
        self.data = data
        self.quantile = quantile

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Denoise and draw back; epsilon and the other views follow from what is left."""
        prediction = self.denoiser(x_t, t, context)
        x0 = prediction.x0
        low, high = self.data.like(x0)
        middle, half = (low + high) / 2, (high - low) / 2
        offset = (x0 - middle) / half  # within [-1, 1] where the data is
        reach = _quantile(offset.abs().flatten(1), self.quantile).clamp(min=1.0)
        reach = reach.reshape(-1, *[1] * (x0.ndim - 1))
        drawn = offset.clamp(-reach, reach) / reach
        return replace(prediction, x0=middle + half * drawn)  # (2)


def _quantile(values: Tensor, q: float) -> Tensor:
    """The q-quantile of each row of (B, N): (B,). By sorting: torch's own has a limit of size."""
    ordered = values.sort(dim=1).values
    at = q * (ordered.shape[1] - 1)
    below = int(at)
    above = min(below + 1, ordered.shape[1] - 1)
    return torch.lerp(ordered[:, below], ordered[:, above], at - below)
