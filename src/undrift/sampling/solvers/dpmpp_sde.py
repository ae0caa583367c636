"""DPM-Solver++(2S) for the SDE: DDIM's stochastic step with D from the middle of the step.

With m half-way between t and s in the log-SNR, and DDIM's steps of ``solvers/ddim.py``,

    x_m = DDIM step from t to m with D_t = D(x_t, t)                                  (1)
    x_s = DDIM step from t to s with D_m = D(x_m, m) in place of D_t                  (2)

whose noise, from t to m and from t to s, is taken from one Brownian path: the shorter stretch is
the beginning of the longer. k-diffusion's ``dpmpp_sde`` is this rule at its default r = 1/2. A step
that begins at alpha = 0 has no middle and the step to sigma = 0 no noise in it: both are (2) with
D_t, DDIM's own.

Reference: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.solver import BoundDenoise, Draw, Facts, OnPath
from undrift.sampling.solvers.dpm_2 import middle
from undrift.sampling.solvers.euler import carry
from undrift.sampling.solvers.renewal import ancestral, check_noise


@dataclass(frozen=True)
class DPMppSDE(OnPath):
    """Two evaluations per step, one in the last; second order in law.

    Attributes:
        eta: 0 is deterministic, DPM-Solver++(2S); 1 is the usual SDE.
        s_noise: new noise in units of what is right.

    Raises:
        UsageError: for an eta outside [0, 1] or an s_noise below 0.
    """

    eta: float = 1.0
    s_noise: float = 1.0

    facts = Facts("dpmpp_sde", 2, 2, evaluations_per_step=2, stochastic=True, number="eta")

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
        """One step of equations (1) and (2); see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        x0 = prediction.x0
        if level_t.alpha > 0 and level_s.sigma > 0:
            level_m = middle(memory, level_t, level_s)
            x_m = self._ddim(x, x0, level_t, level_m, draw)  # (1)
            x0 = denoise(x_m, level_m.t).x0
        return self._ddim(x, x0, level_t, level_s, draw), memory, prediction  # (2)

    def _ddim(self, x: Tensor, x0: Tensor, level_t: Level, level_s: Level, draw: Draw) -> Tensor:
        renewal = ancestral(level_t, level_s, self.eta)
        return renewal.onto(carry(x, x0, level_t, renewal.kept), draw, self.s_noise)
