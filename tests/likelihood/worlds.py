"""Worlds whose likelihood is known: a codec of levels, and exact denoisers of discrete data."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from undrift.codec import Standardise
from undrift.diffusion import Prediction
from undrift.diffusion.schedule import per_sample
from undrift.likelihood.proposal import Proposal


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


class Integrand(NamedTuple):
    """Mean and mean square of ``1/2 SNR |x_0 - D|^2`` of each value at each level, (L, N)."""

    log_snr: Tensor
    mean: Tensor
    square: Tensor

    def variance(self, proposal: Proposal) -> Tensor:
        """Variance of the integral at one level drawn from a proposal, (L,)."""
        density = proposal.masses[proposal.bin(self.log_snr)]
        density = density * len(proposal.masses) / proposal.span.width
        whole = torch.trapezoid(self.mean, self.log_snr)
        return torch.trapezoid(self.square / density, self.log_snr) - whole.square()


def integrand(denoiser: DiscreteDenoiser, log_snr: Tensor) -> Integrand:
    """The integrand of 1-pixel images by quadrature over the noise."""
    eps = torch.linspace(-8.5, 8.5, 681, dtype=torch.float64)
    weight = (-eps.square() / 2).exp()
    weight = weight / weight.sum()
    values = denoiser.values[:, None, None]
    t = denoiser.schedule.time_at(log_snr)
    level = denoiser.schedule(t)
    x_t = level.alpha[:, None] * values + level.sigma[:, None] * eps  # (L, N, nodes)
    asked = x_t.permute(1, 0, 2)
    x0 = denoiser(asked, t).x0.permute(1, 0, 2)
    found = log_snr.exp()[:, None] / 2 * (values - x0).square()
    return Integrand(log_snr, (found * weight).sum(2), (found.square() * weight).sum(2))


def standardised(std: float = 50.0, mean: float = 100.0, channels: int = 1) -> Standardise:
    return Standardise((mean,) * channels, (std,) * channels)
