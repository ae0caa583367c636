"""Every parameterization has one and the same minimiser: the posterior mean of the mixture.

Three ways to see it: fits of the same function space agree to rounding across parameterizations;
at the exact network the gradient of the loss is zero within its standard error; and the loss left
there is the posterior variance, by quadrature, times the weight.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests.diffusion.cases import (
    EVERY_PAIR,
    PARAMETERIZATIONS,
    SCHEDULES,
    float64,
    name,
    numbers_mixture,
)
from torch import nn

from undrift.diffusion import (
    SNR,
    X0,
    Denoiser,
    DenoisingObjective,
    EDMWeight,
    LogNormal,
    MinSNR,
    Unit,
)
from undrift.randomness import Draws

MIXTURE = numbers_mixture()
COUNT = 20_000
DATA = MIXTURE.sample(COUNT, torch.Generator().manual_seed(0))
DRAWS = Draws(seed=3, step=0, total=COUNT, start=0, stop=COUNT)


# ------------------------------------------------------------- one function space, one fit


class Polynomial(nn.Module):
    """A linear space of functions that scaling the input leaves as it is: degree 6 or less."""

    degree = 6

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(self.degree + 1, dtype=torch.float64))

    def forward(self, x, c_noise, context=None):
        return torch.cat([x**k for k in range(self.degree + 1)], 1) @ self.weight[:, None]


def fit(schedule, kind, t) -> Denoiser:
    """Minimise the objective at time t exactly: its gradient is affine in the weights."""
    denoiser = Denoiser(Polynomial(), schedule, kind)
    weight = denoiser.network.weight
    noise = torch.randn(DATA.shape, generator=torch.Generator().manual_seed(1)).double()

    def gradient(value):
        weight.data = value
        losses = DenoisingObjective(weighting=EDMWeight()).at(
            denoiser, DATA, None, t.expand(COUNT), noise
        )
        return torch.autograd.grad(losses.per_sample.mean(), weight)[0]

    zero = torch.zeros_like(weight.data)
    start = gradient(zero)
    hessian = torch.stack([gradient(unit) - start for unit in torch.eye(len(zero)).double()])
    weight.data = torch.linalg.solve(hessian, -start)
    return denoiser


def fitted(schedule, kind, t):
    """Points to compare at, and what the fit makes of them."""
    x = schedule(t).alpha * torch.linspace(-2.4, 2.4, 41, dtype=torch.float64)[:, None]
    return x, fit(schedule, kind, t)(x, t).x0.detach()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_fits_agree_across_parameterizations(schedule):
    t = schedule.time_at(float64(0.5))
    x, wanted = fitted(schedule, X0, t)
    for kind in PARAMETERIZATIONS:
        assert torch.allclose(fitted(schedule, kind, t)[1], wanted, rtol=0, atol=1e-7), kind
    exact = MIXTURE.posterior_mean(x, schedule(t))
    assert float((wanted - exact).square().mean().sqrt()) < 0.1  # as near as degree 6 comes


@pytest.mark.parametrize("kind", [k for k in PARAMETERIZATIONS if k is not X0], ids=name)
def test_a_slip_in_a_row_moves_the_fit(kind):
    schedule = SCHEDULES[0]
    t = schedule.time_at(float64(0.5))
    _, wanted = fitted(schedule, X0, t)

    def slipped(level, sigma_data):
        row = kind.row(level, sigma_data)
        return replace(row, target_eps=-row.target_eps)

    _, moved = fitted(schedule, replace(kind, row=slipped), t)
    assert float((moved - wanted).abs().max()) > 0.1


# ------------------------------------------------------ no gradient at the exact network


class Exact(nn.Module):
    """The perfect network, plus a small change per sample along each of five directions.

    It works its noisy sample and level out of what a network is given, so it also shows that
    ``c_in x_t`` and ``c_noise`` say all there is to say.
    """

    def __init__(self, schedule, kind, shrink: float = 1.0) -> None:
        super().__init__()
        self.schedule, self.kind, self.shrink = schedule, kind, shrink
        self.change = torch.zeros(COUNT, 5, dtype=torch.float64, requires_grad=True)

    def forward(self, x, c_noise, context=None):
        level = self.schedule(self.schedule.time_at(-8 * c_noise))
        fitted = level.like(x)
        x_t = x / self.kind.c_in(fitted)
        x0 = self.shrink * MIXTURE.posterior_mean(x_t, level)
        eps = (x_t - fitted.alpha * x0) / fitted.sigma
        noise = c_noise[:, None]
        directions = torch.cat([torch.ones_like(x), x, torch.sin(2 * x), noise, noise * x], 1)
        change = (self.change[: len(x)] * directions).sum(1, keepdim=True)
        return self.kind.target(x0, eps, level) + change


OBJECTIVE = DenoisingObjective(LogNormal(0.0, 1.5), MinSNR(5.0))


def gradient_in_standard_errors(schedule, kind, network) -> float:
    denoiser = Denoiser(network, schedule, kind)
    losses = OBJECTIVE(denoiser, DATA, None, DRAWS)
    (each,) = torch.autograd.grad(losses.per_sample.sum(), network.change)
    return float((each.mean(0) / (each.std(0) / math.sqrt(COUNT))).abs().max())


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_the_posterior_mean_is_stationary(schedule, kind):
    assert gradient_in_standard_errors(schedule, kind, Exact(schedule, kind)) < 4


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_nothing_else_is_stationary(schedule, kind):
    shrunk = Exact(schedule, kind, shrink=0.9)
    assert gradient_in_standard_errors(schedule, kind, shrunk) > 8


# ------------------------------------------------------------- the loss that is left over


def posterior_variance(level) -> float:
    """E[x_0^2] - E[D(x_t)^2], by quadrature over x_t."""
    reach = 4 * level.alpha + 8 * level.sigma
    x = torch.linspace(-1, 1, 6001, dtype=torch.float64)[:, None] * reach
    density = MIXTURE.log_density(x, level).exp()
    mean = MIXTURE.posterior_mean(x, level)[:, 0]
    second = (MIXTURE.weights * (MIXTURE.means[:, 0] ** 2 + MIXTURE.stds**2)).sum()
    return float(second - torch.trapezoid(density * mean**2, x[:, 0]))


@pytest.mark.parametrize("log_snr", [2.5, 0.0, -2.0])
@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_the_least_loss_is_the_weighted_posterior_variance(schedule, kind, log_snr):
    t = schedule.time_at(float64(log_snr))
    snr, sd = math.exp(log_snr), kind.sigma_data
    weights = {
        Unit(): 1.0,
        SNR(): snr,
        MinSNR(5.0): min(snr, 5.0),
        EDMWeight(): snr + 1 / sd**2,
    }
    denoiser = Denoiser(Exact(schedule, kind), schedule, kind)
    noise = torch.randn(DATA.shape, generator=torch.Generator().manual_seed(2)).double()
    wanted = posterior_variance(schedule(t))
    for weighting, weight in weights.items():
        objective = DenoisingObjective(weighting=weighting)
        with torch.no_grad():
            losses = objective.at(denoiser, DATA, None, t.expand(COUNT), noise).per_sample
        error = float(losses.std()) / math.sqrt(COUNT)
        assert abs(float(losses.mean()) - weight * wanted) < 4 * error
        assert 4 * error < 0.1 * weight * wanted  # tight enough to notice a wrong weight
