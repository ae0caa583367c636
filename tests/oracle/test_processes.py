"""SDE, ODE and Markov chain are one process: they agree in distribution, and with the path.

All of them carry samples of a mixture between two levels of one path, where the exact marginals
are known; distributions are compared with Kolmogorov and Smirnov's distance, and the ODE point by
point with the exact flow map. Every comparison is repeated with a slip that has to show.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from tests.diffusion.cases import SCHEDULES, float64, kolmogorov, name

from undrift.diffusion import SDE, GaussianMixture, VPLinear
from undrift.diffusion.markov import MarkovChain, marginal, posterior, transition

COUNT = 4_000
SAME, OTHER = 2.23, 3.0  # one in 1e4, and one in 3e7
MIXTURE = GaussianMixture(float64([[-1.0], [0.8]]), [0.5, 0.35], [0.35, 0.65])
HIGH, LOW = 5.0, -5.0  # log-SNR of the level near data and of the one near noise
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=name)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, steps: int = 1) -> torch.Tensor:
    return torch.randn(steps, COUNT, 1, generator=seeded(seed), dtype=torch.float64)


def times(schedule, start: float, stop: float, steps: int) -> torch.Tensor:
    return schedule.time_at(torch.linspace(start, stop, steps + 1, dtype=torch.float64))


@cache
def sample_at(schedule, log_snr: float) -> torch.Tensor:
    level = schedule(schedule.time_at(float64(log_snr)))
    return marginal(MIXTURE.sample(COUNT, seeded(0)), level).sample(normal(1)[0])


def distance(x: torch.Tensor, schedule, log_snr: float) -> float:
    level = schedule(schedule.time_at(float64(log_snr)))
    return kolmogorov(x, lambda y: MIXTURE.cdf(y, level))


@every_schedule
def test_the_marginal_is_the_mixtures(schedule):
    for log_snr in (HIGH, 0.0, LOW):
        assert distance(sample_at(schedule, log_snr), schedule, log_snr) < SAME
    assert distance(sample_at(schedule, HIGH), schedule, 1.0) > OTHER


# ----------------------------------------------------------------------- from data to noise


@every_schedule
def test_the_chain_forward_keeps_to_the_path_in_any_number_of_steps(schedule):
    def forward(steps: int, all_noise: bool = False):
        t = times(schedule, HIGH, 0.0, steps)
        x, noise = sample_at(schedule, HIGH), normal(2, steps)
        for k in range(steps):
            step = transition(x, schedule(t[k]), schedule(t[k + 1]))
            if all_noise:
                step = replace(step, variance=schedule(t[k + 1]).sigma ** 2)
            x = step.sample(noise[k])
        return distance(x, schedule, 0.0)

    assert forward(1) < SAME
    assert forward(7) < SAME
    assert forward(7, all_noise=True) > OTHER  # the noise that was there already, added again


@every_schedule
def test_the_sde_forward_keeps_to_the_path(schedule):
    def forward(sign: float = 1.0, scale: float = 1.0):
        sde, steps = SDE(schedule), 300
        t = times(schedule, HIGH, 0.0, steps)
        x, noise = sample_at(schedule, HIGH), normal(3, steps)
        for k in range(steps):
            h, middle = t[k + 1] - t[k], (t[k] + t[k + 1]) / 2
            x = x + sign * sde.drift(x, middle) * h
            x = x + scale * sde.diffusion(middle) * h.sqrt() * noise[k]
        return distance(x, schedule, 0.0)

    assert forward() < SAME
    assert forward(scale=0.5**0.5) > OTHER  # half of the noise
    if schedule.kind != "ve":  # no drift, no sign
        assert forward(sign=-1.0) > OTHER


def test_ddpms_own_chain_walks_from_the_data():
    chain = MarkovChain(VPLinear(), 40)
    x0 = MIXTURE.sample(COUNT, seeded(0))
    path = chain.forward(x0, normal(4, 40))
    for k in (1, 10, 40):
        level = chain.level(k)
        assert kolmogorov(path[k], lambda y, at=level: MIXTURE.cdf(y, at)) < SAME
    other = chain.level(25)
    assert kolmogorov(path[10], lambda y: MIXTURE.cdf(y, other)) > OTHER


# ----------------------------------------------------------------------- from noise to data


@every_schedule
def test_the_ode_backward_is_the_flow_map(schedule):
    """Heun's method along the velocity: point by point the exact map, hence in distribution."""
    denoise = MIXTURE.denoiser(schedule)
    start = sample_at(schedule, LOW)

    def backward(slip: float = 0.0):
        t = times(schedule, LOW, HIGH, 120)
        x = start
        for k in range(120):
            h = t[k + 1] - t[k]
            first = velocity(x, t[k], slip)
            x = x + h / 2 * (first + velocity(x + h * first, t[k + 1], slip))
        return x

    def velocity(x, t, slip):
        seen = denoise(x, t)
        return seen.velocity + slip * SDE(schedule).diffusion(t) ** 2 * seen.score

    source, target = (schedule(schedule.time_at(float64(v))) for v in (LOW, HIGH))
    exact = MIXTURE.flow(start, source, target)
    right = backward()
    assert float((right - exact).abs().max()) < 5e-3
    assert distance(exact, schedule, HIGH) < SAME
    assert distance(right, schedule, HIGH) < SAME
    wrong = backward(slip=-0.1)  # six tenths of g^2 in place of a half
    assert float((wrong - exact).abs().max()) > 0.05
    assert distance(wrong, schedule, HIGH) > OTHER


@every_schedule
def test_the_sde_backward_arrives_at_the_data(schedule):
    sde, denoise = SDE(schedule), MIXTURE.denoiser(schedule)

    def backward(eta: float, drift_eta: float, steps: int = 300):
        t = times(schedule, LOW, HIGH, steps)
        x, noise = sample_at(schedule, LOW), normal(5, steps)
        for k in range(steps):
            h = t[k + 1] - t[k]  # negative
            x_next = x + sde.reverse_drift(denoise(x, t[k]), drift_eta) * h
            x = x_next + eta * sde.diffusion(t[k]) * (-h).sqrt() * noise[k]
        return distance(x, schedule, HIGH)

    assert backward(1.0, 1.0) < SAME
    assert backward(0.5, 0.5) < SAME
    assert backward(1.0, 0.0, steps=100) > OTHER  # the ODE's drift under the SDE's noise


@every_schedule
def test_the_chain_backward_arrives_at_the_data(schedule):
    denoise = MIXTURE.denoiser(schedule)

    def backward(steps: int, variance="small", lag: int = 0):
        t = times(schedule, LOW, HIGH, steps)
        x, noise = sample_at(schedule, LOW), normal(6, steps)
        for k in range(steps):
            at, to = schedule(t[k]), schedule(t[k + 1])
            x0 = denoise(x, t[max(k - lag, 0)]).x0
            x = posterior(x, x0, at, to, variance).sample(noise[k])
        return distance(x, schedule, HIGH)

    assert backward(256) < SAME
    assert backward(256, "large") < SAME
    assert backward(8) > OTHER  # the reverse steps are Gaussian only in the limit
    assert backward(256, lag=16) > OTHER  # the denoiser asked at another level
