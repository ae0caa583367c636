"""Is a posterior sampler right for this very model? Simulation-based calibration.

Draw ``x`` from the model, measure ``y = A x + n``, and draw L samples given y. If they are samples
of the posterior, x is one more of them, and for any number ``f`` of an image the rank

    R = #{l : f(x_l) < f(x)},   ties broken at random,                                    (1)

is uniform on 0, ..., L. Over M such draws this is tested by Neyman's smooth test: with ``phi_j``
the polynomials of degree j that are orthonormal on these L + 1 values,

    z_j = M^(-1/2) sum_i phi_j(R_i),      T = sum_{j <= k} z_j^2,                         (2)

is chi-squared with k degrees of freedom for large M. z_1 sees samples that lie too low (positive)
or too high, z_2 samples that are spread too little (positive) or too much. It needs no ground
truth, and does not measure how close the model is to the data.

References: Talts et al. 2018, "Validating Bayesian Inference Algorithms with Simulation-Based
Calibration", for (1); Neyman 1937, "Smooth test for goodness of fit", for (2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.randomness import generator

FEWEST = 20
"""The fewest draws of which a p-value is taken: for fewer, (2) is not chi-squared."""

DEGREE = 3
"""k of (2): shift, spread and skew."""


@dataclass(frozen=True)
class Uniformity:
    """Whether ranks are uniform.

    Attributes:
        p_value: of ranks as uneven as these, if they are uniform.
        shift: z_1 of (2), standard normal if they are uniform; above 0 where samples lie too low.
        spread: z_2; above 0 where samples vary too little.
    """

    p_value: float
    shift: float
    spread: float


def ranks(truth: Tensor, samples: Tensor, seed: int = 0) -> Tensor:
    """Rank of each truth among its samples, by equation (1).

    Args:
        truth: (M,).
        samples: (M, L).
        seed: of the order of ties.

    Returns:
        (M,) int64, from 0 to L.
    """
    below = (samples < truth[:, None]).sum(1)
    same = (samples == truth[:, None]).sum(1)
    draws = generator(seed, "ties")
    shares = torch.rand(len(truth), generator=draws, dtype=torch.float64, device="cpu")
    return below + (shares * (same + 1)).long()


def uniformity(found: Tensor, most: int) -> Uniformity:
    """Test ranks (M,), whole numbers from 0 to ``most``, by equation (2).

    Raises:
        UsageError: for fewer than 20 of them, fewer than 4 values, or a rank out of range.
    """
    if len(found) < FEWEST or most < DEGREE:
        raise UsageError(
            f"self-calibration: {len(found)} images and {most} samples of each; wanted at least "
            f"{FEWEST} and {DEGREE}"
        )
    if not 0 <= int(found.min()) <= int(found.max()) <= most:
        raise UsageError(f"self-calibration: ranks from {found.min()} to {found.max()} of {most}")
    places = torch.linspace(-1, 1, most + 1, dtype=torch.float64, device="cpu")
    powers = places[:, None] ** torch.arange(DEGREE + 1, dtype=torch.float64, device="cpu")
    basis, triangle = torch.linalg.qr(powers)
    basis = basis * triangle.diagonal().sign() * (most + 1) ** 0.5  # growing at the upper end
    z = basis[found.cpu(), 1:].sum(0) / len(found) ** 0.5
    half = torch.tensor(DEGREE / 2, dtype=torch.float64, device="cpu")
    p_value = torch.special.gammaincc(half, z.square().sum() / 2)
    return Uniformity(float(p_value), float(z[0]), float(z[1]))
