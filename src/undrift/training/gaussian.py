r"""The loss of the best Gaussian denoiser: what a network must beat to know more than moments.

For data with mean mu and covariance C the best affine denoiser of x_t = alpha x_0 + sigma eps is
the exact one of N(mu, C). With r = sigma / alpha and the eigenvalues c_i of C its error is

    E ||x_0 - D(x_t)||^2 = sum_i  c_i r^2 / (c_i + r^2)                                          (1)

(the Wiener filter). A validation loss above (1) at some noise level says that the network is worse
there than a linear filter: too early, or broken. Up to 1024 dimensions C is the data's covariance;
above, it is taken as diagonal in the discrete cosine basis, which natural images nearly are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

FULL_LIMIT = 1024


def spectrum(chunks: Iterable[Tensor]) -> Tensor:
    """Eigenvalues of the covariance of images.

    Args:
        chunks: (n, C, H, W) in the model's space, of any n; one is in memory at a time.

    Returns:
        float64 of shape (C * H * W,), non-negative.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    full = True
    for chunk in chunks:
        x = chunk.double()
        full = x[0].numel() <= FULL_LIMIT
        if full:
            x = x.flatten(1)
            products = products + x.T @ x
        else:
            x = _cosines(x.shape[2]) @ x @ _cosines(x.shape[3]).T
            products = products + x.square().sum(0)
        count += len(x)
        total = total + x.sum(0)
    mean = total / count
    if full:
        covariance = (products - count * torch.outer(mean, mean)) / max(1, count - 1)
        return torch.linalg.eigvalsh(covariance).clamp(min=0)
    return (products / count - mean.square()).clamp(min=0).flatten()


def error(eigenvalues: Tensor, log_snr: Tensor) -> Tensor:
    """Mean squared error per dimension of the best Gaussian denoiser, eq. (1).

    Args:
        eigenvalues: from ``spectrum``.
        log_snr: (L,) log signal-to-noise ratios 2 log(alpha / sigma).

    Returns:
        float64 of shape (L,).
    """
    ratio_squared = torch.exp(-log_snr.double())[:, None]
    return (eigenvalues * ratio_squared / (eigenvalues + ratio_squared)).mean(1)


def _cosines(n: int) -> Tensor:
    """The orthonormal DCT-II matrix, float64 of shape (n, n)."""
    k = torch.arange(n, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi / n * (torch.arange(n, dtype=torch.float64) + 0.5) * k)
    basis *= math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return basis
