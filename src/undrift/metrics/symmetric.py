"""Symmetric matrices: eigenvalues, factors, and products that stay symmetric.

All decompositions are torch's: they call LAPACK in float64 as NumPy's do, and the one that torch
comes with takes half the time at D = 2048. Matrices may be stacked: (..., D, D).
"""

from __future__ import annotations

import numpy as np
import torch

from undrift.metrics.moments import Array


def eigenvalues(matrix: Array) -> Array:
    """Eigenvalues (..., D), ascending, of symmetric ``matrix`` (..., D, D); its lower triangle."""
    return torch.linalg.eigvalsh(torch.from_numpy(matrix)).numpy()


def eigenvectors(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues (..., D), ascending, and eigenvectors (..., D, D) as columns."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(matrix))
    return values.numpy(), vectors.numpy()


def factor(covariance: Array) -> Array:
    """F (..., D, D) with ``F F^T`` = ``covariance`` (..., D, D), also if rank-deficient."""
    half = triangular_factor(covariance)
    if half is not None:
        return half
    values, vectors = eigenvectors(symmetric(covariance))
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def triangular_factor(covariance: Array) -> Array | None:
    """Cholesky's lower triangular F, or None if ``covariance`` is not positive definite."""
    half, info = torch.linalg.cholesky_ex(torch.from_numpy(covariance))
    return None if bool((info != 0).any()) else half.numpy()


def sandwich(factors: Array, covariances: Array) -> Array:
    """``F^T S F`` (..., r, r) of ``factors`` F (..., D, r) and symmetric S (..., D, D)."""
    return symmetric(np.swapaxes(factors, -1, -2) @ covariances @ factors)


def triangular_sandwich(half: Array, covariance: Array, block: int = 256) -> Array:
    """The lower triangle of ``half^T covariance half`` for a lower triangular ``half`` (D, D).

    A third of the multiplications of `sandwich`: blocks of zeros and the upper triangle are
    skipped; what stands in the latter means nothing.
    """
    left, given = torch.from_numpy(half), torch.from_numpy(covariance)
    size = len(left)
    right, found = torch.empty_like(given), torch.zeros_like(given)
    for j in range(0, size, block):
        right[:, j : j + block] = given[:, j:] @ left[j:, j : j + block]
    for i in range(0, size, block):
        found[i : i + block, : i + block] = left[i:, i : i + block].T @ right[i:, : i + block]
    return found.numpy()


def symmetric(matrix: Array) -> Array:
    """The symmetric part of ``matrix`` (..., D, D): what rounding took from it is put back."""
    return (matrix + np.swapaxes(matrix, -1, -2)) / 2.0


def cleared(values: Array) -> Array:
    """Eigenvalues (..., D), those that rounding made set to zero: their roots are not small."""
    largest = values.max(axis=-1, keepdims=True, initial=0.0)
    tolerance = largest * values.shape[-1] * np.finfo(np.float64).eps
    return np.where(values > tolerance, values, 0.0)
