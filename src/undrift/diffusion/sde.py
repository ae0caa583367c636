"""The continuous-time view: the same path as a stochastic differential equation.

Definition: samples of the path ``x_t = alpha x_0 + sigma eps`` have the law of

    dx = f(t) x dt + g(t) dw,                                                                    (1)
    f  = alpha_dot / alpha,      g^2 = d(sigma^2)/dt - 2 f sigma^2,                              (2)

run forward from data. With the score ``s = grad log p_t(x)`` the same laws are passed through
backward, from noise to data, by every member of a family (dw runs backward, dt < 0):

    dx = [f x - (1 + eta^2) / 2 g^2 s] dt + eta g dw.                                            (3)

eta = 1 is Anderson's reverse SDE, eta = 0 the probability-flow ODE.

Symbols: ``f`` drift rate, ``g`` diffusion coefficient, ``eta`` stochasticity.
At t = 0 the coefficients are the limits from the right (sigma_dot alone may be infinite there);
where alpha is 0, ``f`` is -inf: such a path (vp_cosine, flow) has no SDE at its very end.

References: Song et al. 2021, equations 5-6 and 13; Karras et al. 2022, equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion.prediction import Prediction
from undrift.diffusion.schedule import NoiseSchedule, per_sample

# Small enough to be t = 0 to every digit, large enough for its square root's inverse to be finite.
_RIGHT_OF_ZERO = 1e-200


@dataclass(frozen=True)
class SDE:
    """The stochastic differential equation of a path.

    Attributes:
        schedule: the path.
    """

    schedule: NoiseSchedule

    def rate(self, t: Tensor) -> Tensor:
        """Return ``f(t)`` (2), float64, of t's shape."""
        level = self.schedule(t)
        return level.alpha_dot / level.alpha

    def diffusion(self, t: Tensor) -> Tensor:
        """Return ``g(t)`` (2), float64, of t's shape."""
        level = self.schedule(t.to(torch.float64).clamp(min=_RIGHT_OF_ZERO))
        growth = 2 * level.sigma * level.sigma_dot
        return torch.sqrt(growth - 2 * level.alpha_dot / level.alpha * level.sigma**2)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the forward drift ``f(t) x`` (1) for x (B, ...) and t of shape () or (B,)."""
        return per_sample(self.rate(t), x) * x

    def reverse_drift(self, prediction: Prediction, eta: float = 1.0) -> Tensor:
        """Return the drift of (3), dx/dt, at a prediction; NaN at sigma = 0.

        Args:
            prediction: what a denoiser says at x_t.
            eta: stochasticity; 1 is the reverse SDE, 0 the probability-flow ODE.
        """
        x, t = prediction.x_t, prediction.level.t
        strength = (1 + eta**2) / 2 * self.diffusion(t) ** 2
        return self.drift(x, t) - per_sample(strength, x) * prediction.score

    def flow_velocity(self, prediction: Prediction) -> Tensor:
        """Return the probability-flow ODE's dx/dt by way of f, g and the score."""
        return self.reverse_drift(prediction, eta=0.0)

    def prior_std(self) -> Tensor:
        """Return the standard deviation of the noise that sampling starts from: sigma at t = 1."""
        return self.schedule(torch.ones((), dtype=torch.float64, device="cpu")).sigma
