"""Principal components of rows of numbers, unwhitened, in a fixed unit and with fixed signs."""

from __future__ import annotations

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-10  # of the largest eigenvalue: what rounding leaves of a direction without spread


def principal_directions(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    r"""Mean m of ``rows`` and its principal directions u_j / s, by falling variance lambda_j.

    With s^2 the mean of lambda_1 ... lambda_D, the components (x - m) . u_j / s keep their own
    variances, and these are 1 on average.

    Args:
        rows: (n, P) float64, n at least 2.
        most: largest D.

    Returns:
        (P,) and (P, D), D <= ``most``; D is 0 where all rows are the same.
    """
    mean = rows.mean(dim=0)
    rows = rows - mean
    count, values = rows.shape
    # of the covariance and the Gram matrix, which share eigenvalues, the smaller one
    if values <= count:
        spread, vectors = torch.linalg.eigh(rows.T @ rows / (count - 1))
    else:
        spread, vectors = torch.linalg.eigh(rows @ rows.T / (count - 1))
    kept = int((spread > _NEGLIGIBLE * spread[-1]).sum()) if spread[-1] > 0 else 0
    kept = min(kept, most)
    if kept == 0:
        return mean, rows.new_zeros((values, 0))
    spread, vectors = spread[-kept:].flip(0), vectors[:, -kept:].flip(1)
    if values > count:
        vectors = rows.T @ vectors
        vectors /= vectors.norm(dim=0)
    # an eigenvector is known up to its sign: the largest entry is made positive
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return mean, vectors * largest.sign() / spread.mean().sqrt()
