"""Predictor and corrector: a reverse diffusion step, then Langevin steps at the level it reached.

The predictor turns the forward transition ``q(x_t | x_s)``, of factor ``c = alpha_t / alpha_s`` and
variance ``G^2 = sigma_t^2 - c^2 sigma_s^2``, around:

    x_s = (2 - c) x_t + G^2 score(x_t, t) + G z                                       (1)

Each corrector step then moves x_s within its own law, whose score g it follows,

    x <- x + e g + sqrt(2 e) z,     e = 2 (snr |z| / |g|)^2                           (2)

so that noise and gradient keep a fixed ratio. The norms are those of each image alone: averaged
over the batch, as in the authors' code, an image would depend on its batch-mates. e is held to
sigma_s^2 at most, beyond which a Langevin step overshoots whatever the data.

A step that begins at alpha = 0, where (1) doubles the noise, is DDIM's with eta = 1; the step to
sigma = 0 returns D, and has no corrector.

Reference: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential
Equations", algorithms 1, 2 and 4, appendices E to G; snr is table 4's for VE on CIFAR-10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Level, Prediction
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Memoryless
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import ancestral


@dataclass(frozen=True)
class PredictorCorrector(Memoryless):
    """First order in law; one evaluation per step and one per correction, one in the last step.

    Attributes:
        snr: length of the gradient's part of a correction, in units of the noise's.
        corrections: Langevin steps after each predictor step; ``evaluations_per_step`` is for 1.

    Raises:
        UsageError: for an snr that is not above 0 or corrections below 0.
    """

    snr: float = 0.16
    corrections: int = 1

    facts = Facts(
        "predictor_corrector", 1, 1, evaluations_per_step=2, stochastic=True, number="snr"
    )

    def __post_init__(self) -> None:
        if not 0 < self.snr < math.inf:
            raise UsageError(f"{self.name} snr {self.snr}: give a number above 0 (0.16 is usual)")
        if self.corrections < 0:
            raise UsageError(f"{self.name} corrections {self.corrections}: give at least 0")

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """One predictor step (1) and its corrections (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        renewal = ancestral(level_t, level_s, 1.0)
        if level_s.sigma == 0:
            return carry(x, prediction.x0, level_t, level_s), None, prediction
        if level_t.alpha == 0:
            x_s = renewal.onto(carry(x, prediction.x0, level_t, renewal.kept), draw, 1.0)
        else:
            back = level_t.alpha / level_s.alpha
            spread = level_t.sigma * renewal.fresh / level_s.sigma  # G
            noise = draw.brownian(level_t, level_s)
            x_s = (2 - back) * x + spread**2 * prediction.score + spread * noise  # (1)
        for number in range(self.corrections):
            score = denoise(x_s, level_s.t).score
            noise = draw(f"correction {number}")
            length = 2 * (self.snr * _norm(noise) / _norm(score)) ** 2
            length = length.clamp(max=float(level_s.sigma) ** 2)
            x_s = x_s + length * score + torch.sqrt(2 * length) * noise  # (2)
        return x_s, None, prediction


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm of each image of (B, ...), shaped to multiply it."""
    return x.reshape(len(x), -1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
