"""A denoiser with everything bound that one batch of images is drawn with.

From the inside out: the network's precision and its context, guidance, and what keeps the denoised
images within the data's range. A solver sees ``denoise(x_t, t)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.diffusion import Denoise, Prediction
from undrift.sampling import BoundDenoise, ClassifierFree
from undrift.sampling.thresholding import DataRange, Threshold

Limit = Callable[[Denoise], Denoise]
"""Puts a denoiser's images within the range of the data."""


@dataclass(frozen=True, eq=False)
class Binding:
    """How the batches of a request hear their conditions.

    Attributes:
        encoder: of the conditions; None for a network that takes no context.
        guidance: guidance scale; 1 is off.
        low_precision: whether the network runs under bfloat16 autocast.
        device: where the weights are.
        limit: goes around the guided denoiser; None leaves its images as they are.
    """

    encoder: ConditionEncoder | None
    guidance: float
    low_precision: bool
    device: torch.device
    limit: Limit | None = None

    def __call__(self, denoiser: Denoise, classes: np.ndarray | None, count: int) -> BoundDenoise:
        """Bind ``count`` images of these classes (count,), or of none; conditions encoded once."""
        context, guided = None, denoiser
        if self.encoder is not None:
            known = {} if classes is None else {"labels": torch.from_numpy(classes)}
            context = self.encoder(Condition(known).to(self.device), count)
            if self.guidance != 1:
                guided = ClassifierFree(denoiser, self.guidance, self.encoder(None, count))
        if self.limit is not None:
            guided = self.limit(guided)

        def denoise(x_t: Tensor, t: Tensor) -> Prediction:
            with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.low_precision):
                return guided(x_t, t, context)

        return denoise


def limit_of(threshold: Threshold | None, codec: Codec, channels: int) -> Limit | None:
    """A threshold with the range that bytes have in a codec's space.

    Raises:
        UsageError: for a codec whose space is not one of pixels.
    """
    if threshold is None:
        return None
    return partial(threshold.around, data=DataRange.of_codec(codec, channels))
