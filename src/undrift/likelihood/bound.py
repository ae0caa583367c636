r"""Variational bounds on the log-probability of discrete images.

Definition: a chain of T steps through levels ``lambda_0 > ... > lambda_T`` (log-SNR, data first)
whose reverse steps put the denoiser ``D`` into the posterior of the forward ones has

    - log P(x) <= c + sum_{i=1}^T 1/2 (SNR_{i-1} - SNR_i) E |x_0 - D(x_i)|^2 + K,                (1)
    K = KL( q(x_T | x_0) || N(0, S^2 I) ) = 1/2 sum_d [ sigma^2/S^2 + alpha^2 x_0^2/S^2 - 1
                                                        - ln(sigma^2 / S^2) ],                   (2)

``c`` the reconstruction (reconstruction.py) and ``S^2 = alpha^2 s^2 + sigma^2`` at the noisiest
level, the prior's variance (1 on a variance-preserving path with s = 1). As T grows the sum becomes

    1/2 int SNR(lambda) E |x_0 - D(x_lambda)|^2 dlambda                                          (3)

from the noisiest to the cleanest level: it depends on the path by its two ends alone. (3) is
estimated at K levels per image, drawn from a density (proposal.py) through low-discrepancy
quantiles ``(u + j / K) mod 1``; u is uniform, one per image.

Symbols: ``SNR = exp(lambda)``, ``s`` the data's standard deviation per element.

References: Kingma et al. 2021, equations 11-18 and appendix I; Ho et al. 2020, equation 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule
from undrift.diffusion.schedule import per_sample
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.span import Span
from undrift.sampling import BoundDenoise

Noise = Callable[[int], Tensor]
"""``noise(j)``: standard normal (B, ...) of evaluation j."""


@dataclass(frozen=True)
class Bound:
    """The terms of a bound on - log P, each (B,), float64, in nats.

    Attributes:
        prior: K (2).
        diffusion: the sum of (1), or (3).
        reconstruction: c.
        evaluations: of the denoiser per image.
    """

    prior: Tensor
    diffusion: Tensor
    reconstruction: Tensor
    evaluations: int

    @property
    def total(self) -> Tensor:
        """The bound on - log P, (B,)."""
        return self.prior + self.diffusion + self.reconstruction


def prior_divergence(x0: Tensor, level: Level, std: float) -> Tensor:
    """Return K (2) for x0 (B, ...) at the noisiest level, of shape (): (B,) float64."""
    alpha, sigma = float(level.alpha), float(level.sigma)
    variance = alpha**2 * std**2 + sigma**2
    share = torch.tensor(sigma**2 / variance, dtype=torch.float64, device="cpu")
    each = share + alpha**2 / variance * x0.double().square() - 1 - share.log()  # (2)
    return each.flatten(1).sum(1) / 2


def squared_error(
    denoise: BoundDenoise, x0: Tensor, schedule: NoiseSchedule, log_snr: Tensor, noise: Tensor
) -> Tensor:
    """Return ``|x_0 - D(x_t)|^2`` summed over a sample, (B,) float64.

    Args:
        denoise: of the model.
        x0: clean batch (B, ...), in the dtype of the model's passes.
        schedule: its path.
        log_snr: levels, () or (B,), float64.
        noise: standard normal, of x0's shape.
    """
    t = schedule.time_at(log_snr)
    level = schedule(t)
    x_t = per_sample(level.alpha, x0) * x0 + per_sample(level.sigma, x0) * noise.to(x0)
    with torch.autocast(x0.device.type, enabled=False):
        prediction = denoise(x_t, t)
    return (x0 - prediction.x0).double().square().flatten(1).sum(1)


def discrete_bound(
    denoise: BoundDenoise,
    x0: Tensor,
    reconstruction: Tensor,
    noise: Noise,
    *,
    schedule: NoiseSchedule,
    span: Span,
    std: float,
    steps: int,
) -> Bound:
    """Return (1) for a chain of ``steps`` steps, evenly spaced in log-SNR, each evaluated once.

    Args:
        denoise: of the model.
        x0: encoded images (B, ...).
        reconstruction: c of these images (B,).
        noise: standard normal of step i - 1.
        schedule: the path.
        span: ends of the chain.
        std: s, the data's standard deviation.
        steps: T, at least 1.
    """
    levels = torch.linspace(span.high, span.low, steps + 1, dtype=torch.float64, device=x0.device)
    snr = levels.exp()
    total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    for i in range(1, steps + 1):
        error = squared_error(denoise, x0, schedule, levels[i], noise(i - 1))
        total += (snr[i - 1] - snr[i]) / 2 * error  # (1)
    prior = prior_divergence(x0, schedule(schedule.time_at(levels[-1])), std)
    return Bound(prior, total, reconstruction, steps)


def continuous_bound(
    denoise: BoundDenoise,
    x0: Tensor,
    reconstruction: Tensor,
    noise: Noise,
    offset: Tensor,
    *,
    schedule: NoiseSchedule,
    proposal: Proposal,
    std: float,
    points: int,
) -> Bound:
    """Return the continuous bound, its integral (3) estimated at ``points`` levels per image.

    Args:
        denoise: of the model.
        x0: encoded images (B, ...).
        reconstruction: c of these images (B,).
        noise: standard normal of evaluation j.
        offset: u, uniform in [0, 1), (B,) float64.
        schedule: the path.
        proposal: density over log-SNR that levels are drawn from.
        std: s, the data's standard deviation.
        points: K, at least 1.
    """
    total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    for j in range(points):
        log_snr, density = proposal.at((offset + j / points) % 1)
        error = squared_error(denoise, x0, schedule, log_snr, noise(j))
        total += log_snr.exp() / 2 * error / density / points  # (3)
    lowest = torch.tensor(proposal.span.low, dtype=torch.float64, device="cpu")
    prior = prior_divergence(x0, schedule(schedule.time_at(lowest)), std)
    return Bound(prior, total, reconstruction, points)
