"""Posterior denoisers for linear measurements, as denoiser -> denoiser.

For values ``y = A x_0 + n``, n ~ N(0, s^2 I), with the denoiser's own first two moments

    D = E[x_0 | x_t],      C = Cov[x_0 | x_t] = (sigma^2 / alpha) dD / dx_t               (1)

(Tweedie's formulas), each rule is

    D' = D + C A^T v,      r = y - A D,                                                   (2)

and says what v is:

    moments:  (A C A^T + s^2 I) v = r, by conjugate gradients, each iteration one         (3)
              backward pass; exact for Gaussian data once they have converged.
    pigdm:    (c A A^T + s^2 I) v = r, c = sigma^2 d^2 / (sigma^2 + alpha^2 d^2) with d   (4)
              the data's deviation: C taken for c I; exact if and only if it is.
    dps:      v = r / max(s^2, |r|^2 / m), m the number of values: C left out, s^2 at     (5)
              least the residual's own; too sure of y while C is large.

Two rules need no slope of the network, and so no backward pass:

    D' = D + A^T v,                                                                       (6)
    ddnm:     A A^T v = r: y is met exactly, whatever its noise, and what A cannot see     (7)
              is left as it was; exact for s = 0 and C = c I.
    diffpir:  (A A^T + s^2 (alpha / sigma)^2 I) v = r: x_0 is taken for N(D, C) with       (8)
              C = (sigma / alpha)^2 I, that of data without any structure; too sure of y
              where the data have less spread than that.

References: Rozet et al. 2024, section 4.2, for (3); Song et al. 2023, "Pseudoinverse-guided
diffusion models for inverse problems", for (4); Chung et al. 2023, "Diffusion posterior sampling
for general noisy inverse problems", equation 16, for (5) with s^2 known. That the residual sets the
scale is this module's choice in place of a hand-tuned one. Wang, Yu and Zhang 2023, "Zero-Shot
Image Restoration Using Denoising Diffusion Null-Space Model", equation 13, for (7); Zhu et al.
2023, "Denoising Diffusion Models for Plug-and-Play Image Restoration", equation 13, for (8) with
their lambda 1. Both come with a sampler of their own; here any carries them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from undrift.diffusion import Prediction
from undrift.errors import UsageError
from undrift.sampling.inverse.moments import conjugate_gradients, dot
from undrift.sampling.inverse.operators import Operator, Shape
from undrift.sampling.solver import BoundDenoise

Rule = Literal["moments", "pigdm", "dps", "ddnm", "diffpir"]
"""How v of (2) or (6) is chosen."""

_EXACT = 50
"""Iterations for (4), which take no network pass."""


@dataclass(frozen=True)
class PosteriorDenoiser:
    """A denoiser that takes a linear measurement into account; it carries no gradient.

    Attributes:
        denoise: the model, its condition bound and guidance included.
        operator: A, on the model's space.
        values: y (B, ...).
        noise: s, at least 0.
        rule: (3), (4), (5), (7) or (8).
        iterations: of conjugate gradients in (3), at least 1.
        deviation: d of (4).
        count: m of (5), a number or one for each image (B, 1, ...); None is all values of y.

    Raises:
        UsageError: for numbers that cannot be.
    """

    denoise: BoundDenoise
    operator: Operator
    values: Tensor
    noise: float = 0.0
    rule: Rule = "moments"
    iterations: int = 4
    deviation: float = 1.0
    count: Tensor | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"iterations {self.iterations}: give a whole number of at least 1")
        if not 0 <= self.noise < float("inf"):
            raise UsageError(f"measurement noise {self.noise}: give a number of at least 0")

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """The prediction given y at ``x_t`` (B, C, H, W) and ``t`` of shape () or (B,)."""
        sloped = self.rule in ("moments", "pigdm", "dps")
        with torch.set_grad_enabled(sloped):
            inside = x_t.detach().requires_grad_(sloped)
            prediction = self.denoise(inside, t)
        x0 = prediction.x0.detach()
        image = (x0.shape[1], x0.shape[2], x0.shape[3])
        level = prediction.level.like(x0)
        # Where alpha is 0, x_t is independent of the image and (1) is 0/0: D stays.
        gain = torch.where(level.alpha > 0, level.sigma**2 / level.alpha, 0.0)

        def moved(v: Tensor) -> Tensor:
            """C A^T v, by (1)."""
            vector = self.operator.adjoint(v, image)
            (product,) = torch.autograd.grad(prediction.x0, inside, vector, retain_graph=True)
            return gain * product.to(x0.dtype)

        residual = self.values.to(x0.dtype) - self.operator.apply(x0)
        apply, noise, every = self.operator.apply, self.noise, residual[0].numel()
        if self.rule == "moments":
            shift, _ = conjugate_gradients(moved, apply, noise, residual, self.iterations)
        elif self.rule == "pigdm":
            variance = level.sigma**2 * self.deviation**2
            variance = variance / (level.sigma**2 + level.alpha**2 * self.deviation**2)
            shift = moved(self._isotropic(variance, noise, residual, image)[1])
        elif self.rule == "dps":
            own = dot(residual, residual) / (every if self.count is None else self.count)
            scale = own.clamp(min=self.noise**2)
            shift = moved(torch.where(scale > 0, residual / scale, 0.0))
        elif self.rule == "ddnm":
            shift, _ = self._isotropic(torch.ones_like(gain), 0.0, residual, image)
        else:
            structureless = torch.where(level.alpha > 0, (level.sigma / level.alpha) ** 2, 1.0)
            shift, _ = self._isotropic(structureless, noise, residual, image)
        return Prediction(prediction.x_t.detach(), prediction.level, x0 + shift)

    def _isotropic(
        self, variance: Tensor, noise: float, residual: Tensor, image: Shape
    ) -> tuple[Tensor, Tensor]:
        """C A^T v and v of (3) with C = ``variance`` I."""

        def product(v: Tensor) -> Tensor:
            return variance * self.operator.adjoint(v, image)

        steps = min(_EXACT, residual[0].numel())
        return conjugate_gradients(product, self.operator.apply, noise, residual, steps)
