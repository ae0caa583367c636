"""The training objective: which noise levels are drawn, and how much an error at each counts.

Definition: with ``t ~ p(t)``, ``x_t = alpha x_0 + sigma eps`` and the denoiser ``D``,

    L = E_t E_eps [ w(lambda_t) mean_d (D(x_t) - x_0)_d^2 ].                                     (1)

Symbols: ``lambda`` log-SNR, ``r = sigma / alpha``, ``s_d`` the data's standard deviation, ``F`` the
network's output and ``c_out`` its factor (parameterization.py). The weight is stated once, for the
error in x_0. Since ``D - x_0 = c_out (F - target)``, the same loss is

    L = E_t E_eps [ w(lambda_t) c_out^2 mean_d (F - target)_d^2 ],                               (2)

which is how it is computed: (2) subtracts numbers of order one at every level, where (1) subtracts
nearly equal ones near data. Each weighting (weighting.py) thus means the same for every
parameterization.

References: Ho et al. 2020, equation 14; Karras et al. 2022, equations 2 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from undrift.diffusion.denoiser import Denoiser, working_dtype
from undrift.diffusion.noise_levels import LogNormal, NoiseLevels
from undrift.diffusion.parameterization import LOG_SNR_LIMIT
from undrift.diffusion.schedule import NoiseSchedule
from undrift.diffusion.weighting import EDMWeight, Weighting
from undrift.randomness import Draws

if TYPE_CHECKING:
    from undrift.networks.context import Context


@dataclass(frozen=True)
class Losses:
    """The losses of a batch, one per sample: never averaged here.

    Attributes:
        per_sample: weighted loss, mean over the elements of a sample (B,), float32 or wider.
        t: times drawn (B,), float64.
        weight: weight ``w`` that the error in x_0 got (B,), float64.
        log_snr: log-SNR of the times (B,), float64.
    """

    per_sample: Tensor
    t: Tensor
    weight: Tensor
    log_snr: Tensor

    @property
    def x0_error(self) -> Tensor:
        """Mean squared error of the denoiser itself, without the weight (B,)."""
        return self.per_sample / self.weight.to(self.per_sample.dtype)


class Objective(Protocol):
    """What a learner minimises."""

    def __call__(
        self, denoiser: Denoiser, x0: Tensor, context: Context | None, draws: Draws
    ) -> Losses:
        """Return one loss per row of ``x0``."""
        ...


@dataclass(frozen=True)
class DenoisingObjective:
    """Denoising loss (1): a distribution of noise levels and a weight for each.

    Attributes:
        levels: which times are drawn.
        weighting: what an error at each level counts.
    """

    levels: NoiseLevels = field(default_factory=LogNormal)
    weighting: Weighting = field(default_factory=EDMWeight)

    def __call__(
        self, denoiser: Denoiser, x0: Tensor, context: Context | None, draws: Draws
    ) -> Losses:
        """Draw times and noise for these rows of the global batch and return their losses.

        Args:
            denoiser: the denoiser to train.
            x0: clean batch (B, ...), B = draws.stop - draws.start.
            context: what the network is conditioned on.
            draws: the randomness of these rows.
        """
        t = self.times(denoiser.schedule, draws).to(x0.device)
        noise = draws.normal("noise", tuple(x0.shape[1:])).to(x0.device)
        return self.at(denoiser, x0, context, t, noise)

    def times(self, schedule: NoiseSchedule, draws: Draws) -> Tensor:
        """Draw the times of these rows, (B,) float64, where ``|log-SNR| <= 20``."""
        return self.times_at(schedule, self.quantiles(draws))

    def times_at(self, schedule: NoiseSchedule, quantiles: Tensor) -> Tensor:
        """Return the times at ``quantiles`` of the levels, where ``|log-SNR| <= 20``."""
        t = self.levels.time(schedule, quantiles)
        least = schedule.time_at(torch.full_like(t, LOG_SNR_LIMIT))
        most = schedule.time_at(torch.full_like(t, -LOG_SNR_LIMIT))
        return t.clamp(least, most)

    def quantiles(self, draws: Draws) -> Tensor:
        """Draw where these rows lie in the distribution of levels, (B,) float64 in [0, 1)."""
        if not self.levels.stratified:
            return draws.uniform("level")
        # Strata are dealt out in random order: a row's place in the batch (its class, its rank)
        # must be independent of its noise.
        whole = replace(draws, start=0, stop=draws.total)
        order = whole.uniform("level order").argsort()
        return whole.stratified("level")[order][draws.start : draws.stop]

    def at(
        self, denoiser: Denoiser, x0: Tensor, context: Context | None, t: Tensor, noise: Tensor
    ) -> Losses:
        """Return the losses at given times and noise; draws nothing, compiles to one graph.

        Args:
            denoiser: the denoiser whose losses are computed.
            x0: clean batch (B, ...).
            context: what the network is conditioned on.
            t: times (B,), float64, where the log-SNR is finite.
            noise: standard normal noise of x0's shape.
        """
        x0 = x0.to(working_dtype(x0))
        noise = noise.to(x0.dtype)
        level = denoiser.schedule(t)
        fitted = level.like(x0)
        x_t = fitted.alpha * x0 + fitted.sigma * noise
        output = denoiser.output(x_t, level, context)
        error = output - denoiser.parameterization.target(x0, noise, level)
        log_snr = level.log_snr
        weight = self.weighting(log_snr, denoiser.parameterization.sigma_data)
        factor = weight * denoiser.parameterization.c_out(level) ** 2  # (2), in float64
        per_sample = factor.to(error.dtype) * error.square().flatten(1).mean(1)
        return Losses(per_sample, t, weight, log_snr)
