"""The exact denoiser of a Gaussian mixture: the oracle that everything else is tested against.

Definition: data ``x_0 ~ sum_k w_k N(m_k, s_k^2 I)`` on any shape; at a level (alpha, sigma) then

    p(x_t) = sum_k w_k N(x_t; alpha m_k, v_k I),        v_k = alpha^2 s_k^2 + sigma^2,           (1)
    rho_k(x_t) = w_k N(x_t; alpha m_k, v_k I) / p(x_t),                                          (2)
    E[x_0 | x_t]     = sum_k rho_k [ m_k + (alpha s_k^2 / v_k) (x_t - alpha m_k) ],              (3)
    grad log p(x_t)  = - sum_k rho_k (x_t - alpha m_k) / v_k.                                    (4)

In one dimension the probability-flow ODE keeps the order of the samples, so its exact solution maps
quantiles onto quantiles:

    x_s = Q_s(P_t(x_t)),      P_t the distribution function of (1), Q_s = P_s^{-1}.              (5)

Symbols: ``w_k`` weights, ``m_k`` means, ``s_k`` standard deviations, ``rho_k`` responsibilities.
All of it is computed in float64; (1) to (4) are differentiable.

References: Karras et al. 2024 (autoguidance), appendix C, for (1)-(4) on their 2-D toy; (5) is the
one-dimensional case of the ODE of Song et al. 2021, equation 13.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from undrift.diffusion.denoiser import working_dtype
from undrift.diffusion.prediction import Prediction
from undrift.diffusion.schedule import Level, NoiseSchedule
from undrift.errors import UsageError

if TYPE_CHECKING:
    from undrift.networks.context import Context

_BISECTIONS = 100  # from any bracket that occurs down to the last bit of a float64


class GaussianMixture:
    """A mixture of isotropic Gaussians on tensors of shape (*shape).

    Args:
        means: (K, *shape), or (K,) for numbers.
        stds: (K,), positive.
        weights: (K,), positive; normalised here. Equal when left out.

    Raises:
        UsageError: for shapes that do not match or values that are not positive.
    """

    def __init__(
        self,
        means: Tensor | Sequence[float],
        stds: Tensor | Sequence[float],
        weights: Tensor | Sequence[float] | None = None,
    ) -> None:
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.stds = torch.as_tensor(stds, dtype=torch.float64)
        count = self.means.shape[0]
        given = [1.0] * count if weights is None else weights
        self.weights = torch.as_tensor(given, dtype=torch.float64)
        if self.stds.shape != (count,) or self.weights.shape != (count,):
            raise UsageError(
                f"a mixture of {count} means got stds of shape {tuple(self.stds.shape)}, weights "
                f"of shape {tuple(self.weights.shape)}; give ({count},) for both"
            )
        if not bool((self.stds > 0).all() & (self.weights > 0).all()):
            raise UsageError("a mixture got a std or weight that is not positive; leave it out")
        self.weights = self.weights / self.weights.sum()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.means.shape[1:])

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n, *shape) samples, float64, on the generator's device."""
        return self.sample_components(n, generator)[0]

    def sample_components(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (n, *shape) samples and the components (n,) int64 that they came from."""
        device = generator.device
        weights, means = self.weights.to(device), self.means.to(device)
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.randn(
            (n, *self.shape), generator=generator, device=device, dtype=torch.float64
        )
        std = self.stds.to(device)[component].reshape(n, *([1] * len(self.shape)))
        return means[component] + std * noise, component

    def log_density(self, x: Tensor, level: Level, weights: Tensor | None = None) -> Tensor:
        """Return log p(x_t) (B,), float64, in nats, by (1).

        Args:
            x: (B, *shape).
            level: of shape () or (B,).
            weights: mixing weights (B, K) or (K,) in place of the mixture's own; zeros allowed.
        """
        return self._log_joint(x, level, weights)[0].logsumexp(1)

    def score(self, x: Tensor, level: Level, weights: Tensor | None = None) -> Tensor:
        """Return the gradient of `log_density` by x (B, *shape), float64; also at sigma = 0."""
        joint, offset, variance = self._log_joint(x, level, weights)
        pull = joint.softmax(1) / variance
        return -(_fit(pull, x) * offset).sum(1)  # (4)

    def posterior_mean(self, x: Tensor, level: Level, weights: Tensor | None = None) -> Tensor:
        """Return ``E[x_0 | x_t]`` (B, *shape), float64."""
        joint, offset, variance = self._log_joint(x, level, weights)
        share = joint.softmax(1)  # (2)
        gain = share * _column(level.alpha, x) * self.stds.to(x.device) ** 2 / variance
        return (_fit(share, x) * self.means.to(x.device) + _fit(gain, x) * offset).sum(1)  # (3)

    def denoiser(self, schedule: NoiseSchedule) -> MixtureDenoiser:
        """Return the exact denoiser of this mixture on a path."""
        return MixtureDenoiser(self, schedule)

    def cdf(self, x: Tensor, level: Level) -> Tensor:
        """Return P(x_t <= x), float64, of x's shape, for a mixture of numbers.

        Args:
            x: any shape.
            level: of shape ().
        """
        return self._log_tails(x, level)[0].exp()

    def quantile(self, p: Tensor, level: Level) -> Tensor:
        """Return the x with ``cdf(x) = p``, float64, of p's shape, for a mixture of numbers.

        Args:
            p: any shape, in (0, 1).
            level: of shape ().
        """
        p = p.to(torch.float64)
        reach = torch.special.ndtri(torch.minimum(p, 1 - p)).abs() + 1
        return self._solve(p.log(), torch.log1p(-p), reach, level)

    def flow(self, x: Tensor, source: Level, target: Level) -> Tensor:
        """Move x along the probability-flow ODE from one level to another, exactly, by (5).

        Args:
            x: any shape, for a mixture of numbers.
            source: level of x, of shape ().
            target: level to end at, of shape ().

        Returns:
            x's shape, float64, good to the last few bits, in the tails too.
        """
        lower, upper = self._log_tails(x, source)
        centre, deviation = self._components(x, source)
        z = (x.to(torch.float64)[..., None] - centre) / deviation
        return self._solve(lower, upper, z.abs().amax(-1) + 1, target)

    def _solve(self, lower: Tensor, upper: Tensor, reach: Tensor, level: Level) -> Tensor:
        """Bisect for the x whose log-tails are given, within ``reach`` stds of a component."""
        centre, deviation = self._components(lower, level)
        low = (centre - reach[..., None] * deviation).amin(-1)
        high = (centre + reach[..., None] * deviation).amax(-1)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if bool(((middle == low) | (middle == high)).all()):
                break  # nothing lies in between
            left, right = self._log_tails(middle, level)
            # Compare in the thinner tail: the other one is 1 to the last bit.
            below = torch.where(lower < upper, left < lower, right > upper)
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def _log_tails(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Logs of P(x_t <= x) and P(x_t > x) for a mixture of numbers, each of x's shape."""
        centre, deviation = self._components(x, level)
        z = (x.to(torch.float64)[..., None] - centre) / deviation
        log_weights = self.weights.log().to(x.device)
        lower = (log_weights + torch.special.log_ndtr(z)).logsumexp(-1)
        upper = (log_weights + torch.special.log_ndtr(-z)).logsumexp(-1)
        return lower, upper

    def _components(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (K,) of the components at a level of shape ()."""
        if math.prod(self.shape) != 1:
            raise UsageError(
                f"a mixture on shape {self.shape} has no distribution function; "
                "quantiles and the flow map need a mixture of numbers"
            )
        alpha, sigma = level.alpha.to(x.device), level.sigma.to(x.device)
        centre = alpha * self.means.flatten().to(x.device)
        return centre, torch.sqrt(alpha**2 * self.stds.to(x.device) ** 2 + sigma**2)

    def _log_joint(
        self, x: Tensor, level: Level, weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log of w_k N(x; alpha m_k, v_k I) (B, K), x - alpha m_k (B, K, ...), v_k (B or 1, K)."""
        mixing = self.weights if weights is None else weights
        alpha, sigma = _column(level.alpha, x), _column(level.sigma, x)
        variance = alpha**2 * self.stds.to(x.device) ** 2 + sigma**2
        offset = x.to(torch.float64).unsqueeze(1) - _fit(alpha, x) * self.means.to(x.device)
        squared = offset.square().flatten(2).sum(2) if self.shape else offset.square()
        volume = math.prod(self.shape) * torch.log(2 * math.pi * variance)
        log_mixing = mixing.to(device=x.device, dtype=torch.float64).log()
        return log_mixing - (squared / variance + volume) / 2, offset, variance


class MixtureDenoiser:
    """The exact denoiser of a mixture on a path, called like any other.

    With a context, ``context.vector`` (B, K) holds the mixing weights of each sample; without one
    the mixture's own are used. `ClassMixture.weights` makes such vectors out of labels.
    """

    def __init__(self, mixture: GaussianMixture, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Return the exact prediction at ``x_t`` (B, *shape) and ``t`` of shape () or (B,)."""
        return self.with_weights(x_t, t, None if context is None else context.vector)

    def with_weights(self, x_t: Tensor, t: Tensor, weights: Tensor | None) -> Prediction:
        """Return the exact prediction under mixing weights (B, K) or (K,)."""
        level = self.schedule(t.to(x_t.device))
        x_t = x_t.to(working_dtype(x_t))
        x0 = self.mixture.posterior_mean(x_t, level, weights)
        return Prediction(x_t, level, x0.to(x_t.dtype))


def _column(value: Tensor, x: Tensor) -> Tensor:
    """A level's entry of shape () or (B,) as (1 or B, 1), float64, on x's device."""
    return value.to(device=x.device, dtype=torch.float64).reshape(-1, 1)


def _fit(value: Tensor, x: Tensor) -> Tensor:
    """One number per sample and component, (B, K), broadcastable to (B, K, *shape)."""
    return value.reshape(value.shape + (1,) * (x.ndim - 1))
