"""Gaussian paths: how much data and how much noise a sample holds at each time.

Definition: for data ``x_0`` and noise ``eps ~ N(0, I)``, a path is

    x_t = alpha_t x_0 + sigma_t eps,        t in [0, 1], 0 = data, 1 = noise.                    (1)

Symbols: ``alpha_t`` signal, ``sigma_t`` noise, ``lambda_t = log(alpha_t^2 / sigma_t^2)`` the log of
the signal-to-noise ratio (log-SNR; strictly falling in t), ``r_t = sigma_t / alpha_t`` the noise in
units of the data. A dot is a derivative by t. Every path is the same one in the coordinates
``x / alpha, r``; schedules differ only in how time runs along it.

References: Ho et al. 2020 (DDPM), Song et al. 2021 (score SDE), Nichol & Dhariwal 2021 (cosine),
Karras et al. 2022 (EDM), Liu et al. 2022 (rectified flow), Kingma et al. 2021 (log-SNR).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from undrift.errors import UsageError


@dataclass(frozen=True)
class Level:
    """Noise levels of a path: one per sample, or one for all.

    All tensors are float64 and of one shape, ``()`` or ``(B,)``, until ``like`` fits them to a
    batch. ``sigma_dot`` is infinite at t = 0 of a variance-preserving path, where sigma grows like
    a square root.

    Attributes:
        t: time in [0, 1].
        alpha: factor of the data.
        sigma: factor of the noise.
        alpha_dot: d alpha / dt.
        sigma_dot: d sigma / dt.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    alpha_dot: Tensor
    sigma_dot: Tensor

    @property
    def log_snr(self) -> Tensor:
        """``2 log(alpha / sigma)``; +inf where sigma is 0, -inf where alpha is 0."""
        return 2 * (self.alpha.log() - self.sigma.log())

    @property
    def ratio(self) -> Tensor:
        """``sigma / alpha``: the noise in units of the data; inf where alpha is 0."""
        return self.sigma / self.alpha

    def like(self, x: Tensor) -> Level:
        """Return the same levels on x's device, in x's dtype, broadcastable to x of (B, ...)."""
        return Level(
            per_sample(self.t, x),
            per_sample(self.alpha, x),
            per_sample(self.sigma, x),
            per_sample(self.alpha_dot, x),
            per_sample(self.sigma_dot, x),
        )


def per_sample(value: Tensor, x: Tensor) -> Tensor:
    """Fit one number per sample, (B,) or () for all, to x (B, ...): its device, dtype and rank."""
    if value.ndim > 0:  # a scalar broadcasts as it is
        value = value.reshape(value.shape + (1,) * (x.ndim - value.ndim))
    return value.to(device=x.device, dtype=x.dtype)


class NoiseSchedule(Protocol):
    """A Gaussian path: time to level, and log-SNR back to time."""

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1], of any shape."""
        ...

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``.

        A log-SNR that the path never reaches gives its nearest end.
        """
        ...


@dataclass(frozen=True)
class VPLinear:
    """Variance-preserving path whose rate ``beta`` grows linearly: DDPM's betas in continuous time.

        beta(t) = beta_min + (beta_max - beta_min) t,     B(t) = int_0^t beta,                   (2)
        alpha = exp(-B / 2),     sigma = sqrt(1 - exp(-B)).                                      (3)

    A chain of N steps has ``beta_k = beta(k / N) / N`` to first order: the defaults are DDPM's
    1e-4 ... 0.02 at N = 1000. Song et al. 2021, equations 32-33.

    Attributes:
        beta_min: rate at t = 0, positive.
        beta_max: rate at t = 1, at least ``beta_min``.
    """

    kind: Literal["vp_linear"] = field(default="vp_linear", kw_only=True)
    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise UsageError(
                f"vp_linear got beta_min={self.beta_min}, beta_max={self.beta_max}; "
                "give 0 < beta_min <= beta_max"
            )

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        t = _float64(t)
        slope = self.beta_max - self.beta_min
        beta = self.beta_min + slope * t
        integral = (self.beta_min + slope / 2 * t) * t
        alpha = torch.exp(-integral / 2)  # (3)
        sigma = torch.sqrt(-torch.expm1(-integral))  # (3); expm1 keeps sigma's digits near data
        alpha_dot = -beta / 2 * alpha
        sigma_dot = beta / 2 * alpha**2 / sigma
        return Level(t, alpha, sigma, alpha_dot, sigma_dot)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        log_snr = _float64(log_snr)
        slope = self.beta_max - self.beta_min
        # exp(-lambda) = exp(B) - 1, and then the quadratic (2), solved without cancellation.
        integral = torch.logaddexp(-log_snr, torch.zeros_like(log_snr))
        integral = integral.clamp(max=self.beta_min + slope / 2)
        root = torch.sqrt(self.beta_min**2 + 2 * slope * integral)
        return (2 * integral / (self.beta_min + root)).clamp(max=1.0)


@dataclass(frozen=True)
class VPCosine:
    """Variance-preserving path whose signal falls like a cosine; alpha is exactly 0 at t = 1.

        theta = c (t + s),   c = pi / (2 (1 + s)),   theta_0 = c s,
        alpha = cos(theta) / cos(theta_0),   sigma^2 = 1 - alpha^2
              = sin(theta - theta_0) sin(theta + theta_0) / cos^2(theta_0).                      (4)

    Nichol & Dhariwal 2021, equation 17; the second form of sigma loses no digits near data.

    Attributes:
        s: offset that keeps the first noise levels from being too small, in (0, 1].
    """

    kind: Literal["vp_cosine"] = field(default="vp_cosine", kw_only=True)
    s: float = 0.008

    def __post_init__(self) -> None:
        if not 0 < self.s <= 1:
            raise UsageError(f"vp_cosine got s={self.s}; give 0 < s <= 1")

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        t = _float64(t)
        rate, start = self._angles()
        cosine = torch.sin(rate * (1 - t))  # cos(theta), exactly 0 at t = 1
        norm = math.cos(start)
        alpha = cosine / norm
        variance = torch.sin(rate * t) * torch.sin(rate * t + 2 * start) / norm**2  # (4)
        sigma = torch.sqrt(variance)
        alpha_dot = -rate * torch.sin(rate * t + start) / norm
        sigma_dot = -alpha * alpha_dot / sigma  # alpha^2 + sigma^2 = 1
        return Level(t, alpha, sigma, alpha_dot, sigma_dot)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        log_snr = _float64(log_snr)
        rate, start = self._angles()
        variance = torch.sigmoid(-log_snr)
        cosine = torch.sqrt(torch.sigmoid(log_snr)) * math.cos(start)
        sine = torch.sqrt(math.sin(start) ** 2 + variance * math.cos(start) ** 2)
        # The angle covered, delta = theta - theta_0, from (4): its sine has no cancellation.
        along = sine * math.cos(start) + cosine * math.sin(start)  # sin(theta + theta_0)
        delta = torch.atan2(
            variance * math.cos(start) ** 2 / along,
            cosine * math.cos(start) + sine * math.sin(start),
        )
        return (delta / rate).clamp(max=1.0).where(log_snr > -math.inf, torch.ones_like(delta))

    def _angles(self) -> tuple[float, float]:
        rate = math.pi / (2 * (1 + self.s))
        return rate, rate * self.s


@dataclass(frozen=True)
class VE:
    """Variance-exploding path, with noise growing linearly in time (EDM).

        alpha = 1,     sigma = sigma_max t.                                                      (5)

    Karras et al. 2022, table 1, last column, with their time divided by ``sigma_max``.

    Attributes:
        sigma_max: noise at t = 1, in units of the data, positive.
    """

    kind: Literal["ve"] = field(default="ve", kw_only=True)
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_max < math.inf:
            raise UsageError(f"ve got sigma_max={self.sigma_max}; give a positive number")

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        t = _float64(t)
        one = torch.ones_like(t)
        return Level(t, one, self.sigma_max * t, torch.zeros_like(t), self.sigma_max * one)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        return (torch.exp(-_float64(log_snr) / 2) / self.sigma_max).clamp(max=1.0)


@dataclass(frozen=True)
class Flow:
    """Rectified flow: the straight line from data to noise.

        alpha = 1 - t,     sigma = t.                                                            (6)

    Liu et al. 2022; Lipman et al. 2023 (with their time reversed).
    """

    kind: Literal["flow"] = field(default="flow", kw_only=True)

    def __call__(self, t: Tensor | float) -> Level:
        """Return the level at times ``t`` in [0, 1]."""
        t = _float64(t)
        one = torch.ones_like(t)
        return Level(t, 1 - t, t, -one, one)

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """Return the time in [0, 1] at which the path has ``log_snr``."""
        return torch.sigmoid(-_float64(log_snr) / 2)


def _float64(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)
