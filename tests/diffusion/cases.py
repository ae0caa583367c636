"""The paths and parameterizations that every test of this folder runs over, and exact networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

from undrift.diffusion import (
    EPSILON,
    FLOW,
    VE,
    X0,
    Flow,
    GaussianMixture,
    Parameterization,
    SubVP,
    V,
    VPCosine,
    VPLinear,
    edm,
)

SCHEDULES = (VPLinear(), VPCosine(), VE(), Flow(), SubVP())
PARAMETERIZATIONS = (EPSILON, X0, V, FLOW, edm(0.5))
EVERY_PAIR = tuple(product(SCHEDULES, PARAMETERIZATIONS))


def name(value: object) -> str:
    """A test's name for a schedule, parameterization, weighting or distribution."""
    return str(getattr(value, "kind", value))


def float64(values: list[float] | float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def numbers_mixture() -> GaussianMixture:
    """A lopsided mixture of three on (1,): no symmetry that could hide a sign."""
    return GaussianMixture(float64([[-1.6], [0.3], [1.4]]), [0.25, 0.6, 0.35], [0.25, 0.3, 0.45])


def kolmogorov(sample: Tensor, cdf: Callable[[Tensor], Tensor]) -> float:
    """Root of n times the largest gap between a sample's distribution and ``cdf``.

    Under the same distribution it exceeds 1.63 once in a hundred times and 2.23 once in 1e4.
    """
    ordered = sample.flatten().sort().values
    steps = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(ordered)
    theirs = cdf(ordered)
    gap = torch.maximum((theirs - steps[:-1]).abs().max(), (theirs - steps[1:]).abs().max())
    return float(gap) * math.sqrt(len(ordered))


def exact_output(
    mixture: GaussianMixture, schedule, parameterization: Parameterization, x_t: Tensor, t: Tensor
) -> Tensor:
    """What a perfect network of this parameterization says, by way of the posterior mean."""
    level = schedule(t)
    x0 = mixture.posterior_mean(x_t, level)
    fitted = level.like(x_t)
    return parameterization.target(x0, (x_t - fitted.alpha * x0) / fitted.sigma, level)


class Tiny(nn.Module):
    """A network with weights, a bias and a use for every argument."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, c_noise: Tensor, context=None) -> Tensor:
        out = self.conv(x) * (1 + c_noise.view(-1, 1, 1, 1))
        if context is not None:
            out = out + context.vector.mean(1).view(-1, 1, 1, 1)
        return out
