"""The analytic first step: what it answers, what it saves, what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.sampling import SAMPLERS, integrate, karras, solver, uniform
from undrift.sampling import first_step as module
from undrift.sampling.first_step import AnalyticFirstStep

DETERMINISTIC = [name for name in SAMPLERS if not solver(name).stochastic]


def gap(made, schedule, t):
    """Distance from the exact denoiser of Gaussian data, where (1) is exact."""
    gaussian = GaussianMixture([0.5], [0.6])
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    t = torch.tensor(t, dtype=torch.float64)
    ours = made.AnalyticFirstStep(None, schedule, t, mean=0.5, std=0.6)(x, t).x0
    return float((ours - gaussian.denoiser(schedule)(x, t).x0).abs().max())


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("t", [1.0, 0.8, 0.3])
def test_it_is_exact_for_gaussian_data(schedule, t):
    assert gap(module, schedule, t) < 1e-12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mean + gain", "mean - gain"),
        ("level.alpha * self.std**2 / variance", "level.sigma * self.std**2 / variance"),
        ("self.std**2 + level.sigma**2", "self.std**2 + level.alpha**2"),
        ("(x_t - per_sample(level.alpha, x_t) * mean)", "x_t"),
    ],
)
def test_mutants_are_not(old, new):
    assert gap(mutated(module, old, new), VPLinear(), 0.5) > 1e-3


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_it_saves_one_evaluation_of_every_solver_and_changes_little(name):
    schedule = VE()
    exact, calls = order.MIXTURE.denoiser(schedule), []

    def denoise(x, t):
        calls.append(float(t))
        return exact(x, t)

    times = karras(schedule, 12)
    x = order.starts(schedule, times[0])
    plain = integrate(denoise, x, times, solver(name), schedule=schedule)
    asked = len(calls)
    # Its own mean and standard deviation: -0.12 + 0.15 + 0.22 - 0.21, and so on.
    mixture = order.MIXTURE
    mean = float((mixture.weights * mixture.means).sum())
    std = float((mixture.weights * (mixture.stds**2 + mixture.means**2)).sum() - mean**2) ** 0.5
    saving = AnalyticFirstStep(denoise, schedule, times[0], mean, std)
    saved = integrate(saving, x, times, solver(name), schedule=schedule)
    assert len(calls) - asked == asked - 1
    assert float((saved - plain).abs().max()) < 0.02


@pytest.mark.parametrize("schedule", [Flow(), VPCosine()], ids=order.kind)
def test_in_pure_noise_it_is_the_mean_exactly(schedule):
    times = uniform(schedule, 4)
    x = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    prediction = AnalyticFirstStep(None, schedule, times[0], mean)(x, times[0])
    assert torch.equal(prediction.x0, mean.expand(3, 2, 2))
    assert prediction.x0.dtype == torch.float32


def test_bad_settings_are_refused():
    with pytest.raises(UsageError, match="time in"):
        AnalyticFirstStep(None, VE(), 0.0)
    with pytest.raises(UsageError, match="at least 0"):
        AnalyticFirstStep(None, VE(), 1.0, std=-1)
