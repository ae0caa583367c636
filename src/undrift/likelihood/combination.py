r"""Several estimates into one: importance-weighted samples, and classes.

Definition: with dequantised ``v_1 ... v_K`` drawn from q,

    log P(k) >= E log [ 1/K sum_j p(v_j) / q(v_j | k) ],                                         (1)

which grows with K (Burda et al. 2016) towards log P(k). For a class-conditional model

    log P(x) = log sum_y P(y) P(x | y).                                                          (2)

(2) of bounds on log P(x | y) is a bound on log P(x); of *unbiased but noisy* estimates its
expectation is larger, by about half their variance. All classes are therefore estimated with the
same noise, of which only differences between classes are left.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def importance_bound(log_weights: Tensor) -> Tensor:
    """(1) for ``log p - log q`` (K, B): (B,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def over_classes(log_likelihoods: Tensor, class_weights: Tensor) -> Tensor:
    """(2) for log P(x | y) (Y, B) and P(y) (Y,), normalised here; classes of weight 0 drop out."""
    weights = class_weights.to(log_likelihoods).double()
    log_prior = (weights / weights.sum()).log().reshape(-1, *[1] * (log_likelihoods.ndim - 1))
    return torch.logsumexp(log_likelihoods.double() + log_prior, 0)
