"""Classifier-free guidance: away from what the model would draw without the condition.

    D_w(x_t) = D(x_t | negative) + w (D(x_t | c) - D(x_t | negative))                  (1)

Symbols: ``D`` the denoised image, ``c`` the condition, ``negative`` the empty condition or one to
steer away from, ``w`` the scale: 1 is the model itself, more exaggerates the condition, 0 ignores
it. D is affine in epsilon, score and v, so (1) holds for each of them with the same w.

Reference: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6 with their w plus 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Denoise, Prediction
from undrift.networks import Context
from undrift.sampling.guidance.extrapolation import (
    Scale,
    check_scale,
    check_share,
    extrapolated,
    rescaled,
)


@dataclass(frozen=True, eq=False)
class ClassifierFree:
    """A guided denoiser, called like the one it is made of.

    At scale 1 the conditional prediction is handed through untouched and at scale 0 the negative
    one, for one forward per image; at other scales two.

    Attributes:
        denoiser: the model.
        scale: w of equation (1), finite; a number, or a tensor (B,) with one for each row.
        negative: context to steer away from, one row per image; None is no context at all.
        batched: run both in one forward of twice the batch, which is faster while a batch does not
            fill the device; needs a negative context.
        rescale: share of the guided prediction that is rescaled; see `extrapolation`.

    Raises:
        UsageError: for a scale that is not finite, or a share that is none.
    """

    denoiser: Denoise
    scale: Scale
    negative: Context | None = None
    batched: bool = True
    rescale: float = 0.0

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_share(self.rescale)

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the guided prediction at ``x_t`` (B, ...) and ``t`` of shape () or (B,)."""
        if not isinstance(self.scale, Tensor):
            if self.scale == 1:
                return self.denoiser(x_t, t, context)
            if self.scale == 0 and not self.rescale:
                return self.denoiser(x_t, t, self.negative)
        conditional, x0, x0_negative = self._both(x_t, t, context)
        guided = extrapolated(x0, x0_negative, self.scale)  # (1)
        return Prediction(conditional.x_t, conditional.level, rescaled(guided, x0, self.rescale))

    def _both(
        self, x_t: Tensor, t: Tensor, context: Context | None
    ) -> tuple[Prediction, Tensor, Tensor]:
        # Per-image times would come back as levels of twice the batch: keep those apart.
        if self.batched and t.ndim == 0 and context is not None and self.negative is not None:
            joined = Context.concatenate([context, self.negative])
            both = self.denoiser(torch.cat([x_t, x_t]), t, joined)
            x_both, x0, x0_negative = both.x_t.chunk(2)[0], *both.x0.chunk(2)
            return Prediction(x_both, both.level, x0), x0, x0_negative
        conditional = self.denoiser(x_t, t, context)
        return conditional, conditional.x0, self.denoiser(x_t, t, self.negative).x0
