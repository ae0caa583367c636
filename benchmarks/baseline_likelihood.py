r"""Densities of discrete images that need no network: what a diffusion model has to beat.

Definition: all treat pixels as independent given their position, and perhaps the class; each gives
every image a probability over the data's own L levels, so that their bits per dimension compare
with any other likelihood. Of one pixel,

    histogram             see `undrift.likelihood.histogram`,                                    (1)
    discretised logistic  P(k) = sigma((b_k - m) / s) - sigma((a_k - m) / s)                     (2)
                               = sigma(b) sigma(-a) (1 - e^{a - b}),                             (3)
    mixture               sum_i w_i P_i(k),   each P_i of the form (2),                          (4)

with ``[a_k, b_k]`` the bin of level k, the outer two bins open. Logistics are given a share of the
uniform law,

    (1 - e) P(k) + e / L,                                                                        (5)

without which a border pixel that is black in every training image makes one lighter test image
impossible. ``c`` of (1) and ``e`` of (5) are chosen on validation images. (3) is (2) without the
difference of two numbers near 1, and without infinite ends, whose gradients are not numbers.

References: Salimans et al. 2017, "PixelCNN++", section 2.1 (discretised logistics).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from undrift.likelihood.histogram import log_likelihood

UNIFORM_SHARES = (1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 3e-2, 5e-2, 0.1, 0.2)
FIT_SHARE = 0.03
"""e of (5) while fitting: a logistic need not widen for the few pixels that are far away."""


def with_uniform(table: Tensor, share: float) -> Tensor:
    """(5) for log-probabilities (..., L)."""
    even = torch.tensor(math.log(share / table.shape[-1]), dtype=table.dtype)
    return torch.logaddexp(table + math.log1p(-share), even)


def widened(table: Tensor, validation: NDArray[np.int64]) -> tuple[Tensor, float]:
    """(5) with the e that suits the validation images best."""

    def score(share: float) -> float:
        return float(log_likelihood(with_uniform(table, share), validation).mean())

    best = max(UNIFORM_SHARES, key=score)
    return with_uniform(table, best), best


def logistic_table(ends: Tensor, parameters: Tensor) -> Tensor:
    """(4) as log-probabilities (D, L).

    Args:
        ends: of the bins, the L - 1 between neighbours, rising.
        parameters: (3, D, K): logits of w, m, and log s.
    """
    logits, mean, log_scale = parameters
    inverse = (-log_scale).exp()[..., None]
    z = (ends - mean[..., None]) * inverse  # (D, K, L - 1)
    below = logsigmoid(z)
    above = below - z
    inner = below[..., 1:] + above[..., :-1] + (-torch.expm1(-ends.diff() * inverse)).log()  # (3)
    share = torch.cat([below[..., :1], inner, above[..., -1:]], dim=2)
    return torch.logsumexp(logits.log_softmax(1)[..., None] + share, dim=1)  # (4)


def beginning(counts: Tensor, values: Tensor, components: int) -> Tensor:
    """Parameters (3, D, K) to start from: means at even quantiles of a pixel, scales to touch."""
    share = counts / counts.sum(1, keepdim=True)
    quantile = (torch.arange(components, dtype=torch.float64) + 0.5) / components
    place = torch.searchsorted(share.cumsum(1), quantile.expand(len(counts), -1).contiguous())
    means = values[place.clamp(max=len(values) - 1)]
    centre = (share * values).sum(1, keepdim=True)
    spread = (share * (values - centre).square()).sum(1, keepdim=True).sqrt().clamp(min=0.5)
    if components == 1:
        means = centre
    scales = (spread * math.sqrt(3) / math.pi / components).log().expand(-1, components)
    return torch.stack([torch.zeros_like(means), means, scales])


def fit_logistics(
    counts: Tensor, values: Tensor, ends: Tensor, components: int, steps: int
) -> Tensor:
    """Fit (4) to the counts (D, L) of each pixel by Adam: log-probabilities (D, L).

    Args:
        counts: of the training images.
        values: of the levels, (L,).
        ends: of the bins, as for `logistic_table`.
        components: K.
        steps: of Adam, all pixels at once.
    """
    share = counts / counts.sum(1, keepdim=True)
    # a step moves means by levels and the rest by fractions
    rate = torch.tensor([1.0, 20.0, 1.0], dtype=torch.float64).reshape(3, 1, 1)
    scaled = (beginning(counts, values, components) / rate).requires_grad_()
    optimizer = torch.optim.Adam([scaled], lr=0.1)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(steps):
        optimizer.zero_grad()
        table = with_uniform(logistic_table(ends, scaled * rate), FIT_SHARE)
        loss = -(share * table).sum(1).sum()
        loss.backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        return logistic_table(ends, scaled * rate)
