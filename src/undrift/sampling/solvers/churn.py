"""EDM's stochastic sampler: Heun's method, with a little noise added before each step.

In the noise-to-signal ratio ``r = sigma / alpha``, a step from r_t to r_s first goes up the path,

    r^ = (1 + gamma) r_t   where s_min <= r_t <= s_max, else r_t                          (1)
    x^ ~ q(x^ | x_t), its noise s_noise times as large                                    (2)

and then down by the explicit trapezoid in ``y = x / alpha``, with ``eps = (x - alpha D) / sigma``,

    y_s = y^ + (r_s - r^) (eps^ + eps_s) / 2                                              (3)

with eps_s evaluated where Euler's step lands: `HeunEDM`. gamma is the paper's min(S_churn / N,
sqrt(2) - 1). From alpha = 0, where more noise is impossible, nothing is added, and a path that ends
before r^ is followed to its end.

Reference: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
algorithm 2; the defaults are table 5's for ImageNet-64, S_churn = 40 and N = 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.diffusion.markov import transition
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise, Draw, Facts, OnPath
from undrift.sampling.solvers.heun import HeunEDM

_LARGEST = math.sqrt(2) - 1  # gamma at which a step doubles the variance of its noise


@dataclass(frozen=True)
class HeunChurn(OnPath):
    """Two evaluations per step, one in the last; second order without churn.

    Attributes:
        gamma: how much noise a step adds, as a share of what is there; 0 to sqrt(2) - 1.
        s_min: smallest sigma / alpha at which it does.
        s_max: largest.
        s_noise: the added noise in units of what is right.

    Raises:
        UsageError: for a gamma outside its range, or bounds or s_noise that are negative.
    """

    gamma: float = 40 / 256
    s_min: float = 0.05
    s_max: float = 50.0
    s_noise: float = 1.003

    facts = Facts("heun_churn", 2, 2, evaluations_per_step=2, stochastic=True, number="gamma")

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= _LARGEST:
            raise UsageError(
                f"{self.name} gamma {self.gamma}: give a number between 0 and sqrt(2) - 1, "
                "as HeunChurn.of(s_churn, steps) does"
            )
        if not (0 <= self.s_min <= self.s_max and 0 <= self.s_noise < math.inf):
            raise UsageError(
                f"{self.name} s_min {self.s_min}, s_max {self.s_max}, s_noise {self.s_noise}: "
                "give numbers of at least 0, s_min no larger than s_max"
            )

    @classmethod
    def of(
        cls,
        s_churn: float,
        steps: int,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
    ) -> HeunChurn:
        """Return the rule in the paper's terms: ``s_churn`` is spread over ``steps`` steps."""
        if not (steps >= 1 and s_churn >= 0):
            raise UsageError(
                f"{cls.name} s_churn {s_churn}, steps {steps}: give at least 0 and at least 1"
            )
        return cls(min(s_churn / steps, _LARGEST), s_min, s_max, s_noise)

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: NoiseSchedule,
        draw: Draw,
    ) -> tuple[Tensor, NoiseSchedule, Prediction]:
        """One step of equations (1) to (3); see `Solver.step`."""
        level = self._above(level_t, memory)
        if level.sigma * level_t.alpha > level_t.sigma * level.alpha:
            x = transition(x, level_t, level).sample(self.s_noise * draw("churn"))  # (2)
        x_s, _, prediction = HeunEDM().step(denoise, x, level, level_s, None, draw)  # (3)
        return x_s, memory, prediction

    def _above(self, level: Level, schedule: NoiseSchedule) -> Level:
        """The level (1); the one given where nothing is to be added."""
        if self.gamma == 0 or not self.s_min <= float(level.ratio) <= self.s_max:
            return level
        return schedule(schedule.time_at(level.log_snr - 2 * math.log1p(self.gamma)))  # (1)
