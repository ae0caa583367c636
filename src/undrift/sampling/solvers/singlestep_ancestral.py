"""Ancestral singlestep rules: a second-order step to too little noise, then new noise on top.

A step from t to s keeps, of the noise at s, what was there at t already: (1) of
``solvers/renewal.py``. With kept and fresh from there, a deterministic rule goes as far as the
level d of the same alpha, and new noise makes up for the rest:

    alpha_d = alpha_s,    sigma_d = kept                                                  (1)
    x_s = rule(x_t; t to d) + fresh z                                                     (2)

Had the rule no error, x_d would have the path's law at ``sigma_d / alpha_d`` and x_s that at s:
the order in law is the rule's, whatever eta. The rule is the midpoint's in the noise (`DPM2`) or
the exponential midpoint's (`DPMpp2S`), their middle that of t and d. With eta = 1 a step from
alpha = 0 keeps nothing: it is DDIM's; the one to sigma = 0 returns D.

Reference: Katherine Crowson, k-diffusion, 2022, its ``dpm_2_ancestral`` and
``dpmpp_2s_ancestral``; there new noise is drawn for each step, here it is the increment of a
Brownian path, so that finer grids converge image by image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, OnPath
from undrift.sampling.solvers.dpm_2 import DPM2
from undrift.sampling.solvers.dpmpp_2s import DPMpp2S
from undrift.sampling.solvers.renewal import ancestral, check_noise


@dataclass(frozen=True)
class DPM2Ancestral(OnPath):
    """DPM-Solver-2 with new noise: two evaluations per step, second order in law.

    Attributes:
        eta: 0 is deterministic, `DPM2`; 1 renews as much noise as the chain's posterior.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta outside [0, 1] or an s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    facts = Facts("dpm_2_ancestral", 2, 2, evaluations_per_step=2, stochastic=True, number="eta")
    rule: ClassVar[DPM2 | DPMpp2S] = DPM2()

    def __post_init__(self) -> None:
        check_noise(self.name, self.eta, self.s_noise, most=1.0)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: NoiseSchedule,
        draw: Draw,
    ) -> tuple[Tensor, NoiseSchedule, Prediction]:
        """One step of equation (2); see `Solver.step`."""
        renewal = ancestral(level_t, level_s, self.eta)
        x_d, _, prediction = self.rule.step(denoise, x, level_t, renewal.kept, memory, draw)  # (1)
        return renewal.onto(x_d, draw, self.s_noise), memory, prediction  # (2)


@dataclass(frozen=True)
class DPMpp2SAncestral(DPM2Ancestral):
    """The same with DPM-Solver++(2S), whose middle is that of D."""

    facts = Facts("dpmpp_2s_ancestral", 2, 2, evaluations_per_step=2, stochastic=True, number="eta")
    rule: ClassVar[DPM2 | DPMpp2S] = DPMpp2S()
