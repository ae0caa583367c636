"""Euler and Maruyama's method on the reverse SDE, in the path's own time.

With the drift rate f and the diffusion g of ``diffusion/sde.py``, a step from t to s < t is

    x_s = x_t - [f x_t - (1 + eta^2) / 2 g^2 score] (t - s) + eta g sqrt(t - s) z     (1)

all taken at (x_t, t). It is the textbook's discretisation, here to be compared with: it forgets
that the equation is linear in x, and needs many steps. Two steps have no SDE to discretise. From
alpha = 0, where f is infinite, the step is DDIM's; the one to sigma = 0 returns D, since the noise
that is left in x is taken out, not carried along.

References: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential
Equations", eq. 6, and appendix G for the last step; Karras et al. 2022, eq. 6, for any eta.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.diffusion.sde import SDE
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Solver
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import ancestral, check_noise


@dataclass(frozen=True)
class EulerMaruyama(Solver[SDE]):
    """First order in law, one evaluation per step.

    Attributes:
        eta: 0 is the probability-flow ODE by Euler's method in t; 1 is the reverse SDE.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta outside [0, 1] or an s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    facts = Facts("euler_maruyama", order=1, order_as_started=1, stochastic=True, number="eta")

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise, most=1.0)

    def start(self, x: Tensor, schedule: NoiseSchedule) -> SDE:
        """The equation is that of the path."""
        return SDE(schedule)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: SDE,
        draw: Draw,
    ) -> tuple[Tensor, SDE, Prediction]:
        """One step of equation (1); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        if level_t.alpha == 0 or level_s.sigma == 0:
            renewal = ancestral(level_t, level_s, self.eta)
            x_s = carry(x, prediction.x0, level_t, renewal.kept)
            return renewal.onto(x_s, draw, self.s_noise), memory, prediction
        step = level_t.t - level_s.t
        x_s = x - memory.reverse_drift(prediction, self.eta) * step
        if self.eta > 0:
            fresh = self.eta * memory.diffusion(level_t.t) * torch.sqrt(step)
            x_s = x_s + self.s_noise * fresh * draw.brownian(level_t, level_s)  # (1)
        return x_s, memory, prediction
