from __future__ import annotations

import math

import pytest
import torch
from tests.diffusion.cases import SCHEDULES, float64, name, numbers_mixture

from undrift.diffusion import SDE, VE, Flow, VPCosine, VPLinear

T = torch.linspace(0.01, 0.99, 29, dtype=torch.float64)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=name)


def test_coefficients_are_those_of_the_papers():
    beta = 0.1 + 19.9 * T
    assert torch.allclose(SDE(VPLinear()).rate(T), -beta / 2)  # Song et al. 2021, equation 32
    assert torch.allclose(SDE(VPLinear()).diffusion(T) ** 2, beta)
    assert torch.equal(SDE(VE()).rate(T), torch.zeros_like(T))  # Karras et al. 2022, equation 6
    assert torch.allclose(SDE(VE()).diffusion(T) ** 2, 2 * 80.0**2 * T)
    assert torch.allclose(SDE(Flow()).rate(T), -1 / (1 - T))
    assert torch.allclose(SDE(Flow()).diffusion(T) ** 2, 2 * T / (1 - T))


def test_coefficients_at_data_are_the_limits_from_the_right():
    zero = float64(0.0)
    assert torch.allclose(SDE(VPLinear()).diffusion(zero) ** 2, float64(0.1))
    rate, start = math.pi / 2.016, math.pi / 2.016 * 0.008
    wanted = 2 * rate * math.tan(start)
    assert torch.allclose(SDE(VPCosine()).diffusion(zero) ** 2, float64(wanted))
    assert float(SDE(VE()).diffusion(zero)) < 1e-90
    assert float(SDE(Flow()).diffusion(zero)) < 1e-90


@every_schedule
def test_the_moments_of_the_sde_are_those_of_the_path(schedule):
    """For dx = f x dt + g dw: d alpha/dt = f alpha and d sigma^2/dt = 2 f sigma^2 + g^2."""
    sde, level = SDE(schedule), schedule(T)
    step = 1e-6
    growth = (schedule(T + step).sigma ** 2 - schedule(T - step).sigma ** 2) / (2 * step)
    f, g = sde.rate(T), sde.diffusion(T)
    wanted = 2 * f * level.sigma**2 + g**2
    assert torch.allclose(growth, wanted, rtol=1e-6)
    if schedule.kind != "ve":  # where f is 0 its sign cannot matter
        assert not torch.allclose(growth, -2 * f * level.sigma**2 + g**2, rtol=1e-2)


@every_schedule
def test_the_flow_by_f_g_and_score_is_the_predictions_velocity(schedule):
    mixture = numbers_mixture()
    level = schedule(T)
    x = level.alpha[:, None] * 0.7 - 0.4 * level.sigma[:, None]
    seen = mixture.denoiser(schedule)(x, T)
    sde = SDE(schedule)
    assert torch.allclose(sde.flow_velocity(seen), seen.velocity, rtol=1e-9, atol=1e-9)
    reverse = sde.reverse_drift(seen)
    twice = sde.drift(x, T) + 2 * (seen.velocity - sde.drift(x, T))
    assert torch.allclose(reverse, twice, rtol=1e-9, atol=1e-9)  # g^2 in place of g^2 / 2
    assert not torch.allclose(reverse, seen.velocity, rtol=1e-2)


@every_schedule
def test_prior_and_shapes(schedule):
    sde = SDE(schedule)
    assert float(sde.prior_std()) == float(schedule(float64(1.0)).sigma)
    x = torch.ones(3, 2, 4, 4)
    assert sde.drift(x, float64([0.1, 0.2, 0.3])).shape == x.shape
    assert sde.drift(x, float64(0.1)).dtype == torch.float32
