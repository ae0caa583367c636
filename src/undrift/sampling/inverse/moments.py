"""Moment matching: a denoiser conditioned on measured values, as denoiser -> denoiser.

For values ``y = A x_0 + noise`` with A the rows of the known pixels and noise N(0, s^2 I), the
denoiser's own first two moments

    E[x_0 | x_t] = D(x_t),      C = Cov[x_0 | x_t] = (sigma^2 / alpha) dD / dx_t          (1)

(Tweedie's formulas) are taken for those of a Gaussian, conditioned on y as Gaussians are:

    v  = (A C A^T + s^2 I)^{-1} (y - A D),                                                (2)
    D' = D + C A^T v,    and at the known pixels  A D' = y - s^2 v,                       (3)

the second of which is the first, by (2), but holds however well (2) was solved. C is never formed:
(2) takes conjugate gradients, each iteration one product of C with a vector, which is a backward
pass through the network. D' belongs to the same path as D, so that any solver carries it.

For Gaussian data (1)-(3) are exact once the iterations are as many as known values, and often
sooner. For others the Gaussian is an approximation at every level but the cleanest, and the right
weights of separate modes are not found. With one iteration v is ``y - A D`` scaled as suits each
image, where the pseudo-inverse guidance of Song et al. 2023 has one number for all of a level.

Where alpha is 0, x_t is independent of the image and (1) is 0/0: known pixels are y, hidden ones D.

References: Rozet et al. 2024, "Learning Diffusion Priors from Observations by Expectation
Maximization", section 4.2, for (1)-(3); Hestenes and Stiefel 1952, "Methods of conjugate gradients
for solving linear systems".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Prediction
from undrift.errors import UsageError
from undrift.sampling.inverse.measurement import Measurement
from undrift.sampling.solver import BoundDenoise


@dataclass(frozen=True)
class MomentMatched:
    """A denoiser conditioned on the measured values; its predictions carry no gradient.

    Attributes:
        denoise: the model, its condition bound and guidance included; one forward pass, and
            ``iterations`` backward passes.
        measurement: y, A and s.
        iterations: of conjugate gradients, at least 1.

    Raises:
        UsageError: for fewer iterations.
    """

    denoise: BoundDenoise
    measurement: Measurement
    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"iterations {self.iterations}: give a whole number of at least 1")

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """Return the prediction given y at ``x_t`` (B, ...) and ``t`` of shape () or (B,)."""
        with torch.enable_grad():
            inside = x_t.detach().requires_grad_()
            prediction = self.denoise(inside, t)
        x0 = prediction.x0.detach()
        level = prediction.level.like(x0)
        reached = level.alpha > 0
        gain = torch.where(reached, level.sigma**2 / level.alpha, 0.0)

        def covariance(vector: Tensor) -> Tensor:
            """C times a vector (B, ...), by (1)."""
            (product,) = torch.autograd.grad(prediction.x0, inside, vector, retain_graph=True)
            return gain * product.to(x0.dtype)

        values = self.measurement.values.to(x0.dtype)
        measured = self.measurement
        residual = measured.part(values - x0)
        hidden, v = conjugate_gradients(
            covariance, measured.part, measured.noise, residual, self.iterations
        )
        given = values - torch.where(reached, self.measurement.noise**2 * v, 0.0)  # (3)
        matched = self.measurement.over(x0 + hidden, given)
        return Prediction(prediction.x_t.detach(), prediction.level, matched)


def conjugate_gradients(
    covariance: Callable[[Tensor], Tensor],
    inner: Callable[[Tensor], Tensor],
    noise: float,
    residual: Tensor,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """C A^T v and v of (2), (B, ...) each, every image by itself.

    An image stops where the curvature is not positive: C of a network is one only nearly.

    Args:
        covariance: C A^T times a vector.
        inner: A times what ``covariance`` returns.
        noise: s.
        residual: y - A D.
        iterations: at least 1.
    """
    v, moved = torch.zeros_like(residual), residual.new_zeros(())
    direction, size = residual, dot(residual, residual)
    for _ in range(iterations):
        product = covariance(direction)
        bent = inner(product) + noise**2 * direction
        curvature = dot(direction, bent)
        sound = (curvature > 0) & (size > 0)
        step = torch.where(sound, size / curvature, 0.0)
        v = v + step * direction
        moved = moved + step * product
        residual = residual - step * bent
        before, size = size, dot(residual, residual)
        direction = torch.where(sound, residual + size / before * direction, 0.0)
    return moved, v


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each image, (B, 1, ...)."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
