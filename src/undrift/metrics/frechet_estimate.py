r"""Frechet distance of samples to a reference, with an interval.

How far chance moves the distance follows from its first two derivatives in the first set. With S_1
its covariance, m_1 its mean, F_2 a factor of the other covariance, Q and mu the eigenvectors and
eigenvalues of ``F_2^T S_1 F_2``, and ``c = x - m_1``, ``z = Q^T F_2^T c``,

    psi(x)   = 2 c^T (m_1 - m_2) + |c|^2 - sum_a z_a^2 / sqrt(mu_a)                              (1)
    h(x, x') = sum_a z_a z'_a / sqrt(mu_a)
               + sum_ab (z_a z_b - mu_a [a=b]) (z'_a z'_b - mu_a [a=b]) W_ab,
    W_ab     = 1 / (2 sqrt(mu_a mu_b) (sqrt(mu_a) + sqrt(mu_b)))                                 (2)

reweighting images by 1 + w_i moves FD by ``sum_i w_i psi_i / n + sum_ij w_i w_j h_ij / n^2``. The
variance of (1) over the sample holds the noise of (2) twice over, so

    Var FD = v_1 + v_2,   v_2 = 2 E[h^2] / n^2,   v_1 = Var[psi] / n - 2 v_2                     (3)

where v_1 belongs to the linear part and is zero for a perfect model, and v_2 is what is left then.

Near zero, FD is a sum of squares and Var[psi] / n in proportion to it: for equal weights l, FD is
``l sum_r z_r^2`` and Var[psi] / n is ``4 l^2 sum_r z_r^2``. So the variance that goes with a target
t is ``v_2 + max(0, (t / FD) Var[psi] / n - 2 v_2)``, and the interval is all t less than 1.96 such
standard errors from the distance. Far from zero it is the usual one.

References: Hampel, "The influence curve and its role in robust estimation" (1974), for (1); Efron
and Stein, "The jackknife estimate of variance" (1981), for what (3) takes away; Wilson, "Probable
inference, the law of succession, and statistical inference" (1927), for the kind of interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet import check_same
from undrift.metrics.moments import Array, Moments
from undrift.metrics.symmetric import cleared, eigenvectors, factor, sandwich
from undrift.randomness import generator


@dataclass(frozen=True)
class Spread:
    """How a Frechet distance varies with the samples on one side.

    Attributes:
        value: the distance.
        linear: variance of (1) over the rows.
        pairs: mean square of (2) over pairs of different rows; None where n <= 2 D, since the
            second derivative is not to be had from so few.
    """

    value: float
    linear: float
    pairs: float | None


def frechet_estimate(features: NDArray[np.floating], reference: Moments) -> Estimate:
    """Frechet distance between ``features`` (n, D) and ``reference``, with a 95 % interval.

    The interval is about the expectation of the estimate at this n, with its bias, over redraws of
    the first set; the reference is held fixed. With n <= 2 D the variance is that of (1) alone,
    which is too wide for near-perfect models, by up to sqrt(2).

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    found, count = spread(features, reference), len(features)
    linear = found.linear / count
    second = 0.0 if found.pairs is None else 2.0 * found.pairs / count**2
    return Estimate.score(
        found.value,
        linear - second,  # (3)
        linear / found.value if found.value > 0 else 0.0,
        second,
        "score interval, influence function of both orders over samples; reference fixed; bias not "
        "removed",
        lowest=0.0,
    )


def spread(features: NDArray[np.floating], reference: Moments) -> Spread:
    """How the distance of ``features`` (n, D) to ``reference`` varies with them.

    Raises:
        UsageError: different numbers of features, or fewer than two images in a set.
    """
    rows = np.asarray(features, dtype=np.float64)
    own = Moments.of(rows)
    check_same(own, reference)
    count, size = rows.shape
    a, b = own.covariance, reference.covariance
    shift = own.mean - reference.mean
    centred = rows - own.mean
    linear = 2.0 * centred @ shift + np.einsum("nd,nd->n", centred, centred)
    pairs = None
    if count <= size:
        # x_i^T T x_i = (n - 1) K_ii for the root K of the images' (n, n) matrix
        values, vectors = eigenvectors(sandwich(centred.T / np.sqrt(count - 1), b))
        roots = np.sqrt(cleared(values))
        transported = (count - 1) * (vectors**2 @ roots)
    else:
        half = factor(b)
        values, vectors = eigenvectors(sandwich(half, a))
        kept = cleared(values) > 0
        mu, vectors = values[kept], vectors[:, kept]
        roots = np.sqrt(mu)
        z = centred @ (half @ vectors)
        transported = z**2 @ (1.0 / roots)
        if count > 2 * size:
            pairs = _mean_square(z, mu)
    value = float(shift @ shift + np.trace(a) + np.trace(b) - 2.0 * roots.sum())
    return Spread(max(0.0, value), float((linear - transported).var(ddof=1)), pairs)  # (1)


def second_order(z: Array, others: Array, mu: Array) -> Array:
    """Equation (2), h, for pairs of rows (p, r) of z, with eigenvalues ``mu`` (r,): (p,)."""
    roots = np.sqrt(mu)
    weights = 0.5 / (np.outer(roots, roots) * (roots[:, None] + roots[None, :]))
    own = np.diag(weights) * mu
    product = z * others
    # the sum over a and b, multiplied out
    both = np.einsum("pa,pa->p", product @ weights, product)
    return product @ (1.0 / roots) + both - (z**2 + others**2) @ own + own @ mu


def _mean_square(z: Array, mu: Array, most: int = 4096) -> float:
    """E[h^2] over random pairs of different rows: rows in order may come class by class."""
    count = len(z)
    order = torch.randperm(count, generator=generator(0, "frechet pairs")).numpy()
    i, j = order[:most], np.roll(order, 1)[:most]
    return float((second_order(z[i], z[j], mu) ** 2).mean())
