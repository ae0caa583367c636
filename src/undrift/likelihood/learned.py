r"""A monotone noise schedule that is learned while training, and the objective that goes with it.

Definition: the continuous bound (bound.py, equation 3) depends on a variance-preserving path by the
two ends of its log-SNR alone; what lies between only decides how noisy its estimate is. With the
share of training spent at each level, ``p(lambda)``, the loss of a sample is

    1/2 SNR(lambda) |x_0 - D|^2 / (d p(lambda)),         lambda ~ p,                             (1)

in nats per dimension, unbiased for every p. The schedule is the falling map from uniform t to
lambda whose slope is ``1 / p``; the variance of (1) is least for p proportional to the root mean
square of the integrand, which is tracked in bins while training. It converges to the schedule that
Kingma et al. 2021 reach by gradients on a monotone network, and needs none.

Symbols: ``d`` dimensions. The two ends are fixed by the data's values (span.py).

Reference: Kingma et al. 2021, "Variational Diffusion Models", sections 4.2 and 5.1, appendix I.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from undrift.diffusion import (
    SNR,
    Denoiser,
    DenoisingObjective,
    LogSNR,
    Losses,
    NoiseSchedule,
    Uniform,
)
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.span import Span
from undrift.randomness import Draws
from undrift.schema import check_ranges

if TYPE_CHECKING:
    from undrift.networks.context import Context

MEMORY = 0.995
"""How much of what is known of a bin each new sample in it leaves, once there have been many."""


@dataclass(frozen=True)
class VariationalConfig:
    """Training for likelihood.

    Attributes:
        value_levels: values that a pixel can take.
        log_snr_max: cleanest level, at which the discretised reconstruction takes over.
        log_snr_min: noisiest level.
        bins: of the learned schedule; 1 keeps it linear in log-SNR.
    """

    value_levels: int
    log_snr_max: float
    log_snr_min: float
    bins: int = 64

    def __post_init__(self) -> None:
        Span(self.log_snr_min, self.log_snr_max)
        check_ranges(self, "likelihood", bins=(1, 100_000))

    @property
    def span(self) -> Span:
        """The levels that are counted."""
        return Span(self.log_snr_min, self.log_snr_max)


class LearnedSchedule(nn.Module):
    """The schedule: mean squares of the integrand in bins of log-SNR, part of every checkpoint.

    Args:
        span: its two ends.
        bins: 1 is the linear log-SNR schedule, and stays it.
    """

    moments: Tensor
    visits: Tensor

    def __init__(self, span: Span, bins: int) -> None:
        super().__init__()
        self.span = span
        self.register_buffer("moments", torch.ones(bins, dtype=torch.float64, device="cpu"))
        self.register_buffer("visits", torch.zeros(bins, dtype=torch.float64, device="cpu"))

    @property
    def proposal(self) -> Proposal:
        """Present density over log-SNR."""
        return Proposal.fitted(self.span, self.moments)

    @property
    def path(self) -> LogSNR:
        """Present schedule as a path: knots at even times."""
        count = max(2, len(self.moments) + 1)
        quantile = torch.linspace(1, 0, count, dtype=torch.float64, device="cpu").clamp(
            max=1 - 1e-15
        )
        log_snr, _ = self.proposal.at(quantile.to(self.moments.device))
        knots = log_snr.tolist()
        knots[0], knots[-1] = self.span.high, self.span.low
        return LogSNR(tuple(knots))

    @torch.no_grad()
    def learn(self, log_snr: Tensor, integrand: Tensor) -> None:
        """Take in the integrand ``1/2 SNR |x_0 - D|^2 / d`` at levels of a global batch, (B,)."""
        index = self.proposal.bin(log_snr.to(self.moments))
        # a product with zeros and ones: unlike a scatter, the same sum on every device every time
        chosen = nn.functional.one_hot(index, len(self.moments)).to(self.moments)
        counts = chosen.sum(0)
        means = chosen.T @ integrand.to(self.moments).square() / counts.clamp(min=1)
        self.visits += counts
        fresh = torch.maximum(1 - MEMORY**counts, counts / self.visits.clamp(min=1))
        self.moments.lerp_(means, torch.where(counts > 0, fresh, torch.zeros_like(fresh)))


class VariationalObjective:
    """The loss (1).

    Args:
        schedule: which levels are drawn; updated by `after_step`.
    """

    def __init__(self, schedule: LearnedSchedule) -> None:
        self.schedule = schedule
        self._denoising = DenoisingObjective(Uniform(), SNR())

    def __call__(
        self, denoiser: Denoiser, x0: Tensor, context: Context | None, draws: Draws
    ) -> Losses:
        """Draw levels and noise for these rows of the global batch and return their losses."""
        quantile = self._denoising.quantiles(draws).to(x0.device)
        log_snr, density = self.schedule.proposal.at(quantile)
        noise = draws.normal("noise", tuple(x0.shape[1:])).to(x0.device)
        return self.at(denoiser, x0, context, log_snr, density, noise)

    def at(
        self,
        denoiser: Denoiser,
        x0: Tensor,
        context: Context | None,
        log_snr: Tensor,
        density: Tensor,
        noise: Tensor,
    ) -> Losses:
        """Return the losses at given levels (B,), drawn with ``density`` (B,), and noise."""
        t = _times(denoiser.schedule, log_snr)
        losses = self._denoising.at(denoiser, x0, context, t, noise)
        factor = 1 / (2 * density)  # (1); the weight SNR is in the loss already
        return replace(
            losses,
            per_sample=losses.per_sample * factor.to(losses.per_sample),
            weight=losses.weight * factor,
        )


def _times(schedule: NoiseSchedule, log_snr: Tensor) -> Tensor:
    return schedule.time_at(log_snr).to(log_snr.device)
