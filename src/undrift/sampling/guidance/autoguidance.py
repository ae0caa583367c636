"""Autoguidance: away from a weaker model of the same data, under the same condition.

    D_w(x_t) = D_weak(x_t | c) + w (D(x_t | c) - D_weak(x_t | c))                         (1)

Symbols: ``D`` the model, ``D_weak`` a smaller or less trained one, ``c`` the condition, ``w`` the
scale. Errors that both models make in the same direction, larger in the weak one, are reduced;
where the two agree nothing changes, so that diversity suffers less than by guidance away from no
condition. It needs no condition at all.

Reference: Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself", equation 3.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Autoguidance:
    """A guided denoiser, called like the one it is made of.

    At scale 1 the weak model is not evaluated; at other scales each model is evaluated once.

    Attributes:
        denoiser: the model.
        weak: the weaker model, on the same path and in the same space.
        scale: w of (1), finite; a number, or a tensor (B,) with one for each row.
        weak_context: the condition as the weak model encodes it.
        rescale: share of the guided prediction that is rescaled; see `extrapolation`.

    Raises:
        UsageError: for a scale that is not finite, or a share that is none.
    """

    denoiser: Denoise
    weak: Denoise
    scale: Scale
    weak_context: Context | None = None
    rescale: float = 0.0

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_share(self.rescale)

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the guided prediction at ``x_t`` (B, ...) and ``t`` of shape () or (B,)."""
        strong = self.denoiser(x_t, t, context)
        if not isinstance(self.scale, Tensor) and self.scale == 1:
            return strong
        weak = self.weak(x_t, t, self.weak_context).x0
        guided = extrapolated(strong.x0, weak, self.scale)  # (1)
        return Prediction(strong.x_t, strong.level, rescaled(guided, strong.x0, self.rescale))
