from __future__ import annotations

import math

import pytest
import torch
from tests.diffusion.cases import SCHEDULES, float64, name

from undrift.diffusion import Flow, MarkovChain, VPCosine, VPLinear
from undrift.diffusion.markov import Gaussian, marginal, posterior, transition
from undrift.errors import UsageError

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=name)


def log_prob(law: Gaussian, x):
    return -((x - law.mean) ** 2) / (2 * law.variance) - torch.log(2 * math.pi * law.variance) / 2


def numbers(seed: int):
    return torch.randn(64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bayes_error(schedule, posterior=posterior) -> float:
    """Largest gap in log q(s | t, 0) + log q(t | 0) = log q(t | s) + log q(s | 0)."""
    worst = 0.0
    for low, high in ((3.0, 2.0), (1.0, -3.0), (8.0, -6.0)):
        level_s = schedule(schedule.time_at(float64(low)))
        level_t = schedule(schedule.time_at(float64(high)))
        x0 = numbers(0)
        x_s = marginal(x0, level_s).sample(numbers(1))
        x_t = transition(x_s, level_s, level_t).sample(numbers(2))
        left = log_prob(posterior(x_t, x0, level_t, level_s), x_s)
        left = left + log_prob(marginal(x0, level_t), x_t)
        right = log_prob(transition(x_s, level_s, level_t), x_t) + log_prob(
            marginal(x0, level_s), x_s
        )
        worst = max(worst, float((left - right).abs().max()))
    return worst


@every_schedule
def test_the_posterior_is_bayes_rule(schedule):
    assert bayes_error(schedule) < 1e-8


@every_schedule
def test_bayes_rule_notices_a_swapped_index_and_the_other_variance(schedule):
    def swapped(x_t, x0, level_t, level_s):
        return posterior(x0, x_t, level_t, level_s)

    def large(x_t, x0, level_t, level_s):
        return posterior(x_t, x0, level_t, level_s, "large")

    assert bayes_error(schedule, swapped) > 0.1
    assert bayes_error(schedule, large) > 0.1


@every_schedule
def test_two_steps_are_one(schedule):
    a, b, c = (schedule(schedule.time_at(float64(v))) for v in (4.0, 1.0, -3.0))
    x = numbers(3)
    first, direct = transition(x, a, b), transition(x, a, c)
    second = transition(first.mean, b, c)
    assert torch.allclose(second.mean, direct.mean, rtol=1e-12)
    carried = first.variance * (c.alpha / b.alpha) ** 2 + second.variance
    assert torch.allclose(carried, direct.variance, rtol=1e-12)
    # ... and a step from the data is the marginal.
    start = schedule(float64(0.0))
    assert torch.allclose(transition(x, start, c).mean, marginal(x, c).mean)
    assert torch.allclose(transition(x, start, c).variance, marginal(x, c).variance)


def test_betas_and_posterior_are_ddpms():
    """Ho et al. 2020, equations 6 and 7, in their own symbols, on the chain's betas."""
    chain = MarkovChain(VPLinear(), 50)
    beta = chain.betas
    alpha_bar = torch.cumprod(1 - beta, 0)
    x_t, x0 = numbers(4), numbers(5)
    for k in (2, 17, 50):
        level_t, level_s = chain.level(k), chain.level(k - 1)
        bar, bar_before, b = alpha_bar[k - 1], alpha_bar[k - 2], beta[k - 1]
        mean = bar_before.sqrt() * b / (1 - bar) * x0
        mean = mean + (1 - b).sqrt() * (1 - bar_before) / (1 - bar) * x_t
        small, large = (posterior(x_t, x0, level_t, level_s, v) for v in ("small", "large"))
        assert torch.allclose(small.mean, mean, rtol=1e-10)
        assert torch.equal(small.mean, large.mean)
        assert torch.allclose(small.variance, (1 - bar_before) / (1 - bar) * b, rtol=1e-10)
        assert torch.allclose(large.variance, b, rtol=1e-10)
        assert float(small.variance) < float(large.variance)


def test_a_thousand_steps_have_ddpms_published_betas():
    ours = MarkovChain(VPLinear(), 1000).betas
    theirs = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    assert ours.shape == (1000,)
    assert float((ours - theirs).abs().max()) < 2.5e-4
    assert float((ours.flip(0) - theirs).abs().max()) > 1e-2


@pytest.mark.parametrize("variance", ["small", "large"])
@every_schedule
def test_the_last_step_lands_on_the_data_and_the_first_leaves_noise(schedule, variance):
    data, noise = schedule(float64(0.0)), schedule(float64(1.0))
    x_t, x0 = numbers(6), numbers(7)
    last = posterior(x_t, x0, schedule(float64(0.01)), data, variance)
    assert torch.allclose(last.mean, x0, rtol=0, atol=1e-12)
    assert float(last.variance) == 0.0
    first = posterior(x_t, x0, noise, schedule(float64(0.99)), variance)
    assert bool(torch.isfinite(first.mean).all())
    assert float(first.variance) > 0


@pytest.mark.parametrize("schedule", [Flow(), VPCosine()], ids=name)
def test_from_pure_noise_the_sample_itself_says_nothing(schedule):
    noise, near = schedule(float64(1.0)), schedule(float64(0.9))
    law = posterior(numbers(6), numbers(7), noise, near)
    assert torch.allclose(law.mean, near.alpha * numbers(7))
    assert torch.allclose(law.variance, near.sigma**2)


def test_levels_may_differ_within_a_batch():
    schedule = VPCosine()
    t, s = schedule(float64([0.3, 0.9])), schedule(float64([0.2, 0.4]))
    x, x0 = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    both = posterior(x, x0, t, s)
    for i in range(2):
        one = posterior(x[i], x0[i], schedule(t.t[i]), schedule(s.t[i]))
        assert torch.allclose(both.mean[i], one.mean)
        assert torch.allclose(both.variance[i].squeeze(), one.variance)


def test_forward_walks_all_steps_from_the_data():
    chain = MarkovChain(VPCosine(), 5)
    x0 = torch.zeros(3, 2, dtype=torch.float64)
    noise = torch.ones(5, 3, 2, dtype=torch.float64)
    path = chain.forward(x0, noise)
    assert path.shape == (6, 3, 2)
    assert torch.equal(path[0], x0)
    step = transition(path[2], chain.level(2), chain.level(3)).sample(noise[2])
    assert torch.equal(path[3], step)


def test_wrong_settings_are_refused():
    with pytest.raises(UsageError, match="at least 1"):
        MarkovChain(Flow(), 0)
    level = Flow()(float64(0.5))
    with pytest.raises(UsageError, match="small"):
        posterior(numbers(0), numbers(1), level, level, "medium")  # type: ignore[arg-type]
