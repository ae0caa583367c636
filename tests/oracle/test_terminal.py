"""Stochastic samplers end in the data's distribution; the ends of every path are exact."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle import order

from undrift.diffusion import VE, Flow, Prediction, VPCosine
from undrift.randomness import generator
from undrift.sampling import DDPM, DPMpp2M, Euler, Heun, integrate, uniform

COUNT = 8_000
CRITICAL = 1.95  # of sqrt(N) D: a sampler that is right exceeds it once in a thousand seeds

MIXTURE = order.MIXTURE


class BatchNoise:
    """One draw per step for the whole batch: quick, and enough for a test."""

    def __init__(self, seed):
        self.seed = seed

    def step(self, k, shape, purpose):
        made = generator(self.seed, purpose, k)
        return torch.randn((COUNT, *shape), generator=made, dtype=torch.float64)


def distance(x, level):
    """Kolmogorov-Smirnov's sqrt(N) D between points and the mixture at a level."""
    below = MIXTURE.cdf(x.sort().values, level)
    rank = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    gap = torch.maximum((rank[1:] - below).max(), (below - rank[:-1]).max())
    return float(gap) * math.sqrt(len(x))


def ancestral(schedule, steps, variance="small", noise_scale=1.0):
    """End a little above t = 0: the last step to 0 returns a mean, which is not a sample."""
    times = torch.linspace(1, 0.002, steps + 1, dtype=torch.float64)
    source = BatchNoise(1)
    level = schedule(times[0])
    x = MIXTURE.sample(COUNT, generator(0, "data")) * level.alpha
    x = x + level.sigma * source.step(0, (), "initial")

    class Scaled:
        def step(self, k, shape, purpose):
            return noise_scale * source.step(k, shape, purpose)

    x = integrate(
        MIXTURE.denoiser(schedule), x, times, DDPM(variance), schedule=schedule, noise=Scaled()
    )
    return distance(x, schedule(times[-1]))


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
def test_ddpm_draws_from_the_data_at_256_steps(schedule):
    assert ancestral(schedule, 256) < CRITICAL


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_does_not_at_8_steps(schedule, variance):
    assert ancestral(schedule, 8, variance) > 1.5 * CRITICAL


def test_ddpm_with_a_tenth_less_noise_is_caught():
    assert ancestral(VPCosine(), 256, noise_scale=0.9) > 1.5 * CRITICAL


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
def test_first_step_from_pure_noise(schedule):
    """At alpha = 0 a step is alpha_s D + sigma_s x / sigma_t, with nothing divided by alpha."""
    level_t, level_s = schedule(1.0), schedule(0.9)
    assert level_t.alpha == 0
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    denoise = MIXTURE.denoiser(schedule)
    data = denoise(x, level_t.t).x0
    wanted = level_s.alpha * data + level_s.sigma * x / level_t.sigma
    for solver in (Euler(), DPMpp2M()):
        x_s = solver.step(denoise, x, level_t, level_s, solver.start(x, schedule), lambda p: x)[0]
        torch.testing.assert_close(x_s, wanted, rtol=0, atol=1e-14)
    noise = torch.full_like(x, 0.5)
    x_s = DDPM().step(denoise, x, level_t, level_s, None, lambda p: noise)[0]
    torch.testing.assert_close(x_s, level_s.alpha * data + level_s.sigma * noise)
    # Heun averages D over the step; D at its end is taken where Euler's step lands.
    ahead = denoise(wanted, level_s.t).x0
    x_s = Heun().step(denoise, x, level_t, level_s, None, lambda p: x)[0]
    torch.testing.assert_close(x_s, wanted + level_s.alpha * (ahead - data) / 2)


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M(), DDPM(), DDPM("large")], ids=repr)
def test_last_step_lands_on_the_denoised_image(solver, schedule):
    """At sigma = 0 the state is D exactly, in float32 too, and no step on the way is infinite."""
    assert schedule(0.0).sigma == 0
    seen = []

    def denoise(x, t):
        assert t > 0  # nothing is asked at sigma = 0
        prediction = MIXTURE.denoiser(schedule)(x, t)
        seen.append(prediction.x0)
        return prediction

    x = torch.linspace(-2, 2, 9) * schedule(1.0).sigma
    source = SmallNoise()
    end = integrate(denoise, x, uniform(schedule, 4), solver, schedule=schedule, noise=source)
    assert torch.isfinite(end).all()
    assert end.dtype == torch.float32
    assert torch.equal(end, seen[-1])


class SmallNoise:
    def step(self, k, shape, purpose):
        return torch.randn((9, *shape), generator=generator(k))


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()], ids=lambda s: s.name)
def test_one_step_is_the_denoised_noise(solver):
    def denoise(x, t):
        return Prediction(x, VE()(t), x / 7)

    x = torch.ones(2, 3)
    end = integrate(denoise, x, uniform(VE(), 1), solver, schedule=VE())
    assert torch.equal(end, x / 7)
