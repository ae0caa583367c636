"""The exact denoiser of a correlated Gaussian, and of what is left of it once a part is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule, Prediction
from undrift.randomness import generator


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance) on vectors, float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def correlated(cls, size: int, seed: int = 0) -> Gaussian:
        """One with variances around 1 and every coordinate correlated with every other."""
        draws = generator("correlated", seed)
        root = torch.randn(size, size, generator=draws, dtype=torch.float64)
        covariance = root @ root.T / size + 0.05 * torch.eye(size, dtype=torch.float64)
        return cls(torch.randn(size, generator=draws, dtype=torch.float64), covariance)

    def given(self, y: Tensor, known: Tensor, noise: float = 0.0) -> Gaussian:
        """The law of all coordinates once those marked ``known`` (D,) were measured as ``y``."""
        rows = torch.eye(len(known), dtype=torch.float64)[known]
        inner = rows @ self.covariance @ rows.T + noise**2 * torch.eye(
            len(rows), dtype=torch.float64
        )
        gain = self.covariance @ rows.T @ torch.linalg.inv(inner)
        mean = self.mean + gain @ (y[known] - self.mean[known])
        return Gaussian(mean, self.covariance - gain @ rows @ self.covariance)

    def denoiser(self, schedule: NoiseSchedule):
        """E[x_0 | x_t], linear in x_t; t of shape () or (B,)."""

        def denoise(x: Tensor, t: Tensor, context: object = None) -> Prediction:
            level = schedule(t)
            alpha, sigma = level.alpha.reshape(-1, 1, 1), level.sigma.reshape(-1, 1, 1)
            identity = torch.eye(len(self.mean), dtype=torch.float64)
            spread = alpha**2 * self.covariance + sigma**2 * identity
            gain = torch.linalg.solve(spread, alpha * self.covariance)  # both are symmetric
            offset = x.double() - alpha[..., 0] * self.mean
            x0 = self.mean + (gain.mT @ offset[..., None])[..., 0]
            return Prediction(x, level, x0.to(x.dtype))

        return denoise

    def cdf(self, x: Tensor, coordinate: int) -> Tensor:
        """P(x_coordinate <= x)."""
        std = self.covariance[coordinate, coordinate].sqrt()
        return torch.special.ndtr((x - self.mean[coordinate]) / std)
