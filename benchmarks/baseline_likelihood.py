"""Densities of discrete images that need no network: what a diffusion model has to beat.

Both treat pixels as independent given their position; each gives every image a probability over
the data's own levels, so that their bits per dimension compare with any other likelihood.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BATCH = 2000


def categorical(training: NDArray[np.int64], levels: int) -> Tensor:
    """Log-probability of each level at each pixel, (D, L): counts, smoothed on validation data."""
    counts = torch.stack(
        [torch.bincount(column, minlength=levels) for column in torch.from_numpy(training).T]
    ).double()
    return counts


def smoothed(counts: Tensor, validation: NDArray[np.int64]) -> tuple[Tensor, float]:
    """Counts plus the pseudo-count that suits the validation images best, as log-probabilities."""
    best: tuple[float, Tensor, float] | None = None
    for pseudo in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        table = ((counts + pseudo) / (counts + pseudo).sum(1, keepdim=True)).log()
        score = float(log_likelihood(table, validation).mean())
        if best is None or score > best[0]:
            best = (score, table, pseudo)
    assert best is not None
    return best[1], best[2]


def log_likelihood(table: Tensor, images: NDArray[np.int64]) -> Tensor:
    """Log P of each image (N, D) under independent pixels: (N,) float64, in nats."""
    pixel = torch.arange(images.shape[1])
    rows = [
        table[pixel, torch.from_numpy(part)].sum(1)
        for part in np.array_split(images, max(1, len(images) // BATCH))
    ]
    return torch.cat(rows)


def logistic_table(values: Tensor, edges: tuple[Tensor, Tensor], parameters: Tensor) -> Tensor:
    """Log-probabilities (D, L) of mixtures of discretised logistics.

    Args:
        values: of the levels (L,).
        edges: lower and upper ends of their bins, (L,) each; the outer bins are open.
        parameters: (3, D, K): logits, means and log-scales.
    """
    logits, mean, log_scale = parameters
    lower, upper = edges[0].clone(), edges[1].clone()
    lower[0], upper[-1] = -math.inf, math.inf
    scale = log_scale.exp()[..., None]
    high = torch.sigmoid((upper - mean[..., None]) / scale)
    low = torch.sigmoid((lower - mean[..., None]) / scale)
    share = (high - low).clamp(min=1e-12).log()
    return torch.logsumexp(logits.log_softmax(1)[..., None] + share, dim=1)


def fit_logistics(
    counts: Tensor, values: Tensor, edges: tuple[Tensor, Tensor], components: int, steps: int
) -> Tensor:
    """Fit one mixture of discretised logistics per pixel to its counts (D, L), by Adam."""
    dimensions = len(counts)
    share = counts / counts.sum(1, keepdim=True)
    mean = (share * values).sum(1)
    spread = ((share * (values - mean[:, None]).square()).sum(1)).sqrt().clamp(min=0.5)
    place = (torch.arange(components, dtype=torch.float64) + 0.5) / components * 2 - 1
    means = mean[:, None] + spread[:, None] * place * (components > 1)
    scales = (spread / components / 2).log()[:, None].expand(-1, components)
    parameters = torch.stack([torch.zeros_like(means), means, scales]).clone().requires_grad_()
    # a step moves means by levels and the rest by fractions
    rate = torch.tensor([1.0, 20.0, 1.0]).reshape(3, 1, 1)
    scaled = (parameters.detach() / rate).requires_grad_()
    optimizer = torch.optim.Adam([scaled], lr=0.05)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / steps)
        optimizer.zero_grad()
        table = logistic_table(values, edges, scaled * rate)
        loss = -(share * table).sum() / dimensions
        loss.backward()
        optimizer.step()
    return logistic_table(values, edges, (scaled * rate).detach())
