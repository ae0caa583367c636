"""DDIM with any eta: from Euler's step, eta = 0, to the chain's posterior, eta = 1.

Part of the noise that the denoiser made out is exchanged for new noise:

    x_s = alpha_s D + sqrt(sigma_s^2 - v) eps + sqrt(v) z,                            (1)
    eps = (x_t - alpha_t D) / sigma_t,      v = eta^2 sigma_s^2 (1 - SNR_t / SNR_s)   (2)

At eta = 1 its law is that of ``ddpm`` with the small variance; k-diffusion calls it
``euler_ancestral``. New noise is the increment of a Brownian path, so finer grids converge image by
image, where ``ddpm`` draws noise for each step of a grid.

Reference: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Memoryless
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import ancestral, check_noise


@dataclass(frozen=True)
class DDIM(Memoryless):
    """First order in law, one evaluation per step.

    Attributes:
        eta: 0 is deterministic, the same as `Euler`; 1 is ancestral sampling.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta outside [0, 1] or an s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    facts = Facts("euler_ancestral", order=1, order_as_started=1, stochastic=True, number="eta")

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise, most=1.0)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        renewal = ancestral(level_t, level_s, self.eta)  # (2)
        x_s = carry(x, prediction.x0, level_t, renewal.kept)  # (1)
        return renewal.onto(x_s, draw, self.s_noise), None, prediction
