"""The ancestral singlestep rules are those of the field, written out in sigma."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle import order

from undrift.diffusion import VE, Flow
from undrift.sampling.solvers import DPM2Ancestral, DPMpp2SAncestral, solver


class Fixed:
    def __init__(self, z):
        self.z = z

    def brownian(self, level_t, level_s):
        return self.z


def written_out(name, x, t, s, eta, z):
    """One step of VE, where x = x_0 + sigma eps, from sigma t to sigma s."""
    up = min(s, eta * math.sqrt(s**2 * (t**2 - s**2) / t**2))
    down = math.sqrt(s**2 - up**2)
    middle = math.sqrt(t * down)

    def data(x, sigma):
        return order.MIXTURE.denoiser(VE())(x, torch.tensor(sigma / 80, dtype=torch.float64)).x0

    x0 = data(x, t)
    if name == "dpm_2_ancestral":
        x_m = x + (x - x0) / t * (middle - t)
        return x + (x_m - data(x_m, middle)) / middle * (down - t) + up * z
    h = math.log(t / down)
    x_m = middle / t * x - math.expm1(-h / 2) * x0
    return down / t * x - math.expm1(-h) * data(x_m, middle) + up * z


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("rule", [DPM2Ancestral, DPMpp2SAncestral], ids=lambda rule: rule.name)
def test_a_step_is_the_one_written_out_in_sigma(rule, eta):
    x, z = torch.linspace(-3, 3, 7, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    levels = VE()(2.0 / 80), VE()(0.7 / 80)
    made = rule(eta=eta).step(order.MIXTURE.denoiser(VE()), x, *levels, VE(), Fixed(z))[0]
    torch.testing.assert_close(
        made, written_out(rule.name, x, 2.0, 0.7, eta, z), atol=1e-12, rtol=0
    )
    other = rule(eta=eta, s_noise=1.01)
    assert (other.step(order.MIXTURE.denoiser(VE()), x, *levels, VE(), Fixed(z))[0] > made).all()


def test_between_alpha_0_and_sigma_0_both_ends_are_exact():
    x, z = torch.ones(3, dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64)
    denoise, schedule = order.MIXTURE.denoiser(Flow()), Flow()
    for rule in (DPM2Ancestral(), DPMpp2SAncestral()):
        first = rule.step(denoise, x, schedule(1.0), schedule(0.8), schedule, Fixed(z))[0]
        x0 = denoise(x, torch.tensor(1.0, dtype=torch.float64)).x0
        torch.testing.assert_close(first, 0.2 * x0 + 0.8 * z)
        last = rule.step(denoise, x, schedule(0.2), schedule(0.0), schedule, None)[0]
        assert torch.equal(last, denoise(x, torch.tensor(0.2, dtype=torch.float64)).x0)


def test_they_are_called_as_elsewhere():
    assert solver("DPM2 a") == solver("KDPM2AncestralDiscreteScheduler") == DPM2Ancestral()
    assert solver("sample_dpmpp_2s_ancestral:0.5") == DPMpp2SAncestral(eta=0.5)
