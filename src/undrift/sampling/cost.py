"""What sampling costs, measured: network forwards per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from undrift.diffusion import Denoise, Level, Prediction

if TYPE_CHECKING:
    from undrift.networks import Context
    from undrift.sampling.guidance import LogProbability


class CountedDenoiser:
    """A denoiser that counts the images that it denoises.

    Put around the model itself, inside any guidance, it counts each network forward of each image:
    guidance that doubles the batch counts twice like guidance that calls twice.

    Args:
        denoiser: what does the work.

    Attributes:
        images: images denoised so far, each time anew.
    """

    def __init__(self, denoiser: Denoise) -> None:
        self.denoiser = denoiser
        self.images = 0

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Denoise as ``denoiser`` does, and count."""
        self.images += x_t.shape[0]
        return self.denoiser(x_t, t, context)

    def also(self, other: Denoise) -> Denoise:
        """Return ``other``, counted here too."""

        def counted(x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
            self.images += x_t.shape[0]
            return other(x_t, t, context)

        return counted

    def reads(self, other: LogProbability) -> LogProbability:
        """Return ``other``, whose forwards are counted here too; its passes back are not."""

        def counted(x_t: Tensor, level: Level) -> Tensor:
            self.images += x_t.shape[0]
            return other(x_t, level)

        return counted
