"""Classifier guidance: along the gradient of a classifier's log-probability.

    D_w(x_t) = D(x_t) + w (sigma^2 / alpha) grad log p(c | x_t)                           (1)

Symbols: ``p(c | x_t)`` the probability of the condition given the noisy image, by a classifier that
was trained on noisy images; ``w`` the scale: 0 is off, 1 is the conditional model by Bayes' rule. D
may be conditional itself, which is then guided further. Where alpha is 0, x_t carries no
information about the image, the gradient is 0 and D is returned.

Reference: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 4,
with D for epsilon by Tweedie's formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from undrift.diffusion import Denoise, Level, Prediction
from undrift.diffusion.schedule import per_sample
from undrift.networks import Context
from undrift.sampling.guidance.extrapolation import Scale, check_scale


class LogProbability(Protocol):
    """A classifier of noisy images."""

    def __call__(self, x_t: Tensor, level: Level) -> Tensor:
        """Log-probability (B,) of each row's condition, differentiable in ``x_t`` (B, ...)."""
        ...


@dataclass(frozen=True, eq=False)
class ClassifierGuided:
    """A guided denoiser, called like the one it is made of; it carries no gradient of its own.

    Attributes:
        denoiser: the model.
        log_probability: log p(c | x_t) of the rows' conditions.
        scale: w of (1), finite; a number, or a tensor (B,) with one for each row.

    Raises:
        UsageError: for a scale that is not finite.
    """

    denoiser: Denoise
    log_probability: LogProbability
    scale: Scale

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the guided prediction at ``x_t`` (B, ...) and ``t`` of shape () or (B,)."""
        prediction = self.denoiser(x_t, t, context)
        with torch.enable_grad():
            inside = prediction.x_t.detach().requires_grad_()
            total = self.log_probability(inside, prediction.level).sum()
            (gradient,) = torch.autograd.grad(total, inside)
        level = prediction.level.like(prediction.x0)
        gain = torch.where(level.alpha > 0, level.sigma**2 / level.alpha, 0.0)
        w = per_sample(self.scale, gradient) if isinstance(self.scale, Tensor) else self.scale
        shifted = prediction.x0 + w * gain * gradient.to(prediction.x0)  # (1)
        return Prediction(prediction.x_t, prediction.level, shifted)
