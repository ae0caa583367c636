"""Worlds whose likelihood is known: a codec of levels, and exact denoisers of discrete data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.codec import Standardise
from undrift.diffusion import Prediction
from undrift.diffusion.schedule import per_sample


class DiscreteDenoiser:
    """Exact denoiser of independent pixels that take ``values`` with ``weights``.

    Works in the model's space on (B, ...); every element has the same law.
    """

    def __init__(self, values: Tensor, weights: Tensor, schedule) -> None:
        self.values = values.double()
        self.weights = weights.double() / weights.sum()
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor, context=None) -> Prediction:
        level = self.schedule(t)
        alpha, sigma = per_sample(level.alpha, x_t), per_sample(level.sigma, x_t)
        scaled = (x_t[..., None] - alpha[..., None] * self.values) / sigma[..., None]
        share = (self.weights.log() - scaled.square() / 2).softmax(-1)
        return Prediction(x_t, level, (share * self.values).sum(-1).to(x_t.dtype))


class BoxDenoiser:
    """Exact denoiser of pixels uniform on [-half, half]: the mean of a truncated normal."""

    def __init__(self, half: float, schedule) -> None:
        self.half = half
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor, context=None) -> Prediction:
        level = self.schedule(t)
        u = x_t.double() / per_sample(level.alpha, x_t)
        r = per_sample(level.ratio, x_t)
        low, high = (-self.half - u) / r, (self.half - u) / r
        # the mean as the derivative of the log of the mass, taken in the thinner tail
        sign = torch.where(low > 0, -1.0, 1.0).double()
        a, b = torch.where(sign < 0, -high, low), torch.where(sign < 0, -low, high)
        log_b, log_a = torch.special.log_ndtr(b), torch.special.log_ndtr(a)
        log_mass = log_b + torch.log1p(-torch.exp(log_a - log_b))
        density = lambda z: -z.square() / 2 - math.log(2 * math.pi) / 2  # noqa: E731
        shift = torch.exp(density(a) - log_mass) - torch.exp(density(b) - log_mass)
        return Prediction(x_t, level, (u + sign * r * shift).to(x_t.dtype))


def standardised(std: float = 50.0, mean: float = 100.0, channels: int = 1) -> Standardise:
    return Standardise((mean,) * channels, (std,) * channels)
