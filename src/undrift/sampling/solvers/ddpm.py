"""Ancestral sampling: each step draws from ``q(x_s | x_t, x_0 = D)``, the chain run backwards.

The posterior, its "small" and its "large" variance are those of ``diffusion/markov.py``, which hold
for any alpha and sigma. The last step, to sigma = 0, returns the posterior's mean, which is ``D``.

Reference: Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models", algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from undrift.diffusion import Level, Prediction
from undrift.diffusion.markov import posterior
from undrift.errors import UsageError
from undrift.sampling.solver import BoundDenoise, Draw, Facts, Memoryless


@dataclass(frozen=True)
class DDPM(Memoryless):
    """First order in law, one evaluation and one draw of noise per step.

    Attributes:
        variance: ``"small"``, exact if x_0 were known, or ``"large"``, DDPM's beta.

    Raises:
        UsageError: for any other variance.
    """

    variance: Literal["small", "large"] = "small"

    facts = Facts("ddpm", order=1, order_as_started=1, stochastic=True)

    def __post_init__(self) -> None:
        if self.variance not in ("small", "large"):
            raise UsageError(f"DDPM variance {self.variance!r}: give 'small' or 'large'")

    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: None,
        draw: Draw,
    ) -> tuple[Tensor, None, Prediction]:
        """Draw x_s given x_t and D; see `Solver.step`."""
        prediction = denoise(x, level_t.t)
        law = posterior(x, prediction.x0, level_t, level_s, self.variance)
        x_s = law.mean if level_s.sigma == 0 else law.sample(draw("ancestral"))
        return x_s, None, prediction
