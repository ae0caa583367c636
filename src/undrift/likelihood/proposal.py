r"""Which noise levels a bound is estimated at: a density over log-SNR.

Definition: the continuous bound is an integral over log-SNR, estimated at levels drawn from a
density ``p(lambda)`` that is constant on K bins of equal width,

    int f(lambda) dlambda = E_p [ f(lambda) / p(lambda) ],                                       (1)

which holds for every positive ``p``. The variance of (1) is least for ``p`` proportional to the
root mean square of f at each level (2); a share of p stays uniform, so that no level is forgotten.

References: Kingma et al. 2021, section 5.1 and appendix I: their learned schedule is, for the
continuous bound, exactly such a density.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.likelihood.span import Span

UNIFORM_SHARE = 0.1
"""Share of the probability that is spread evenly whatever was measured."""


@dataclass(frozen=True)
class Proposal:
    """A piecewise constant density over a span of log-SNR.

    Attributes:
        span: where it lives.
        masses: probability of each bin, from noisy to clean, (K,) float64; sums to 1.
    """

    span: Span
    masses: Tensor

    @classmethod
    def uniform(cls, span: Span) -> Proposal:
        """Every level alike: the linear log-SNR schedule of Kingma et al. 2021."""
        return cls(span, torch.ones(1, dtype=torch.float64, device="cpu"))

    @classmethod
    def fitted(cls, span: Span, second_moments: Tensor) -> Proposal:
        """The density (2) for the mean squares of f in each bin, (K,), non-negative.

        Raises:
            UsageError: for moments that are negative or not finite.
        """
        roots = second_moments.double().sqrt()
        if not bool(roots.isfinite().all()):
            raise UsageError("second moments: wanted finite numbers of at least 0")
        total = roots.sum()
        even = torch.full_like(roots, 1 / len(roots))
        if total == 0:
            return cls(span, even)
        return cls(span, UNIFORM_SHARE * even + (1 - UNIFORM_SHARE) * roots / total)  # (2)

    def at(self, quantile: Tensor) -> tuple[Tensor, Tensor]:
        """Return the levels at ``quantile`` in [0, 1) and their density, of its shape, float64."""
        masses = self.masses.to(quantile.device)
        edges = torch.cat([masses.new_zeros(1), masses.cumsum(0)])
        index = torch.searchsorted(edges[1:-1].contiguous(), quantile.contiguous(), right=True)
        width = self.span.width / len(masses)
        inside = (quantile - edges[index]) / masses[index]
        log_snr = self.span.low + width * (index + inside)
        return log_snr.clamp(self.span.low, self.span.high), masses[index] / width

    def bin(self, log_snr: Tensor) -> Tensor:
        """Index of the bin of each level, int64."""
        share = (log_snr - self.span.low) / self.span.width
        return (share * len(self.masses)).long().clamp(0, len(self.masses) - 1)
