"""Several conditions at once, each with a weight.

    D_w(x_t) = D(x_t | negative) + w sum_k a_k (D(x_t | c_k) - D(x_t | negative))         (1)

Symbols: ``c_k`` the conditions, ``a_k`` their weights, ``w`` the scale of all. With w = a_k = 1
this is the score of p(x) prod_k p(c_k | x) at each noise level: conditions that are independent
given the image, all met at once. A negative weight steers away from its condition.

Reference: Liu et al. 2022, "Compositional Visual Generation with Composable Diffusion Models",
equation 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Denoise, Prediction
from undrift.diffusion.schedule import per_sample
from undrift.errors import UsageError
from undrift.networks import Context
from undrift.sampling.guidance.extrapolation import (
    Scale,
    check_scale,
    check_share,
    extrapolated,
    rescaled,
)


@dataclass(frozen=True, eq=False)
class Composed:
    """A guided denoiser of several conditions, evaluated once for each and once for the negative.

    Attributes:
        denoiser: the model.
        terms: (a_k, c_k): weights (B,) and a context of B rows; at least one. A row of which a
            condition is not wanted has weight 0.
        scale: w of (1), finite; a number, or a tensor (B,) with one for each row.
        negative: context to steer away from.
        rescale: share of the guided prediction that is rescaled to the standard deviation of that
            of scale 1; see `extrapolation`.

    Raises:
        UsageError: for no terms, a scale or weight that is not finite, or a share that is none.
    """

    denoiser: Denoise
    terms: Sequence[tuple[Tensor, Context | None]]
    scale: Scale = 1.0
    negative: Context | None = None
    rescale: float = 0.0

    def __post_init__(self) -> None:
        if not self.terms:
            raise UsageError("composed guidance: no terms; give at least one")
        for scale in (self.scale, *(weight for weight, _ in self.terms)):
            check_scale(scale)
        check_share(self.rescale)

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the guided prediction at ``x_t`` (B, ...); ``context`` has no effect."""
        away = self.denoiser(x_t, t, self.negative)
        together = away.x0
        for weight, given in self.terms:
            x0 = self.denoiser(x_t, t, given).x0
            together = together + per_sample(weight, x0) * (x0 - away.x0)
        guided = extrapolated(together, away.x0, self.scale)  # (1)
        return Prediction(away.x_t, away.level, rescaled(guided, together, self.rescale))
