from __future__ import annotations

import math

import pytest
import torch
from tests.diffusion.cases import SCHEDULES, float64, kolmogorov, name, numbers_mixture

from undrift.diffusion import ClassMixture, Flow, GaussianMixture, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.networks.context import Context

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=name)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def image_mixture() -> GaussianMixture:
    means = torch.randn(3, 2, 3, 4, generator=seeded(5), dtype=torch.float64)
    return GaussianMixture(means, [0.4, 0.8, 0.6], [0.5, 0.2, 0.3])


@every_schedule
def test_posterior_mean_and_density_are_those_of_quadrature(schedule):
    mixture = numbers_mixture()
    grid = torch.linspace(-6, 6, 8001, dtype=torch.float64)
    density = sum(
        w * torch.exp(-((grid - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
        for w, m, s in zip(mixture.weights, mixture.means.flatten(), mixture.stds, strict=True)
    )
    for t in schedule.time_at(float64([5.0, 1.0, -2.0])):
        level = schedule(t)
        x = level.alpha * float64([-2.0, -0.4, 0.2, 1.1]) + 0.3 * level.sigma
        likelihood = torch.exp(-((x[:, None] - level.alpha * grid) ** 2) / (2 * level.sigma**2))
        joint = likelihood / (level.sigma * math.sqrt(2 * math.pi)) * density
        evidence = torch.trapezoid(joint, grid)
        mean = torch.trapezoid(joint * grid, grid) / evidence
        seen = mixture.denoiser(schedule)(x[:, None], t)
        assert torch.allclose(seen.x0[:, 0], mean, rtol=0, atol=1e-10)
        exact = mixture.log_density(x[:, None], level)
        assert torch.allclose(exact, evidence.log(), rtol=0, atol=1e-10)


@every_schedule
def test_score_is_the_gradient_of_the_log_density_on_images(schedule):
    mixture = image_mixture()
    t = schedule.time_at(float64([4.0, 0.0, -3.0]))
    level = schedule(t)
    fitted = level.like(mixture.means)
    noise = torch.randn(3, 2, 3, 4, generator=seeded(1), dtype=torch.float64)
    x = (fitted.alpha * mixture.means + fitted.sigma * noise).requires_grad_()
    (wanted,) = torch.autograd.grad(mixture.log_density(x, level).sum(), x)
    assert torch.allclose(mixture.score(x, level), wanted, rtol=1e-9)
    assert torch.allclose(mixture.denoiser(schedule)(x, t).score, wanted, rtol=1e-9)


def test_score_exists_at_sigma_0():
    mixture = numbers_mixture()
    x = float64([[0.1], [-1.0]]).requires_grad_()
    level = VPLinear()(float64(0.0))
    (wanted,) = torch.autograd.grad(mixture.log_density(x, level).sum(), x)
    assert torch.allclose(mixture.score(x, level), wanted)
    assert torch.allclose(mixture.posterior_mean(x, level), x)


def test_log_density_on_images_counts_every_element():
    mixture = image_mixture()
    level = Flow()(float64([0.2, 0.7]))
    x = torch.randn(2, 2, 3, 4, generator=seeded(2), dtype=torch.float64)
    for i in range(2):
        std = torch.sqrt(level.alpha[i] ** 2 * mixture.stds**2 + level.sigma[i] ** 2)
        parts = [
            torch.distributions.Normal(level.alpha[i] * m, s).log_prob(x[i]).sum() + w.log()
            for m, s, w in zip(mixture.means, std, mixture.weights, strict=True)
        ]
        wanted = torch.stack(parts).logsumexp(0)
        assert torch.allclose(mixture.log_density(x, level)[i], wanted, rtol=1e-12)


def test_pure_noise_predicts_the_mean_of_the_data():
    mixture = image_mixture()
    x = torch.randn(4, 2, 3, 4, generator=seeded(3), dtype=torch.float64)
    mean = (mixture.weights.view(-1, 1, 1, 1) * mixture.means).sum(0)
    assert torch.allclose(mixture.denoiser(VPCosine())(x, float64(1.0)).x0, mean.expand_as(x))


def test_samples_have_the_density():
    mixture, level = numbers_mixture(), Flow()(float64(0.0))
    x = mixture.sample(20_000, seeded(4))
    assert x.shape == (20_000, 1)
    assert kolmogorov(x, lambda y: mixture.cdf(y, level)) < 2.23
    assert kolmogorov(x + 0.1, lambda y: mixture.cdf(y, level)) > 4
    assert torch.equal(x, mixture.sample(20_000, seeded(4)))
    images = image_mixture().sample(4000, seeded(6))
    mixed = image_mixture()
    mean = (mixed.weights.view(-1, 1, 1, 1) * mixed.means).sum(0)
    error = images.std(0) / math.sqrt(4000)
    assert float(((images.mean(0) - mean).abs() / error).max()) < 4


@every_schedule
def test_quantiles_invert_the_distribution_function(schedule):
    mixture = numbers_mixture()
    p = float64([1e-12, 1e-3, 0.2, 0.5, 0.77, 0.999])
    for t in (0.0, 0.3, 0.9):
        level = schedule(float64(t))
        assert torch.allclose(mixture.cdf(mixture.quantile(p, level), level), p, rtol=1e-10)


@every_schedule
def test_the_flow_map_solves_the_probability_flow_ode(schedule):
    mixture = numbers_mixture()
    denoise = mixture.denoiser(schedule)
    source = schedule(schedule.time_at(float64(-4.0)))
    x = source.alpha * mixture.means.flatten().mean() + source.sigma * float64([-3.0, -0.5, 0.1, 2])
    for log_snr in (-3.0, 0.0, 2.0):
        t = schedule.time_at(float64(log_snr))
        step = 1e-5 * t
        before, here, after = (
            mixture.flow(x, source, schedule(s)) for s in (t - step, t, t + step)
        )
        slope = (after - before) / (2 * step)
        velocity = denoise(here[:, None], t).velocity[:, 0]
        assert torch.allclose(slope, velocity, rtol=1e-6, atol=1e-8 / float(t))


def test_the_flow_map_goes_there_and_back_in_the_far_tails():
    mixture = numbers_mixture()
    noise, data = VPLinear()(float64(1.0)), VPLinear()(float64(0.0))
    x = float64([-12.0, -3.0, 0.0, 3.0, 12.0])
    there = mixture.flow(x, noise, data)
    assert bool((there.diff() > 0).all())
    assert torch.allclose(mixture.flow(there, data, noise), x, rtol=1e-12, atol=1e-13)


def test_a_single_gaussian_flows_linearly():
    level_a, level_b = Flow()(float64(0.8)), Flow()(float64(0.1))
    x = float64([-2.0, 0.3, 1.7])
    one = GaussianMixture([0.5], [0.7])
    std_a = torch.sqrt((0.2 * float64(0.7)) ** 2 + 0.8**2)
    std_b = torch.sqrt((0.9 * float64(0.7)) ** 2 + 0.1**2)
    wanted = 0.9 * 0.5 + std_b / std_a * (x - 0.2 * 0.5)
    assert torch.allclose(one.flow(x, level_a, level_b), wanted, rtol=1e-12)


def class_mixture() -> ClassMixture:
    table = [[0.0, 1.0, 0.0], [0.7, 0.0, 0.3]]
    return ClassMixture(numbers_mixture(), table, [0.4, 0.6])


def test_a_label_selects_its_mixture_and_no_label_the_marginal():
    mixture, schedule = class_mixture(), VPLinear()
    labels = torch.tensor([0, 1, -1])
    x, t = float64([[0.3], [-0.2], [0.9]]), float64([0.2, 0.4, 0.3])
    by_labels = mixture.denoiser(schedule, labels)(x, t).x0
    by_context = mixture.denoiser(schedule)(x, t, Context(vector=mixture.weights(labels))).x0
    alone = [mixture.given(0), mixture.given(1), mixture.marginal]
    for i, one in enumerate(alone):
        wanted = one.denoiser(schedule)(x[i : i + 1], t[i : i + 1]).x0
        assert torch.allclose(by_labels[i], wanted[0], rtol=1e-12)
        assert torch.allclose(by_context[i], wanted[0], rtol=1e-12)
    unlabelled = mixture.denoiser(schedule)(x, t).x0
    assert torch.allclose(unlabelled[2], by_labels[2])
    assert float((unlabelled[:2] - by_labels[:2]).abs().min()) > 1e-3


def test_labelled_samples_belong_to_their_class():
    x, labels = class_mixture().sample(20_000, seeded(8))
    level = Flow()(float64(0.0))
    share = float((labels == 0).double().mean())
    assert abs(share - 0.4) < 4 * math.sqrt(0.24 / 20_000)
    for label in (0, 1):
        own, other = class_mixture().given(label), class_mixture().given(1 - label)
        assert kolmogorov(x[labels == label], lambda y, m=own: m.cdf(y, level)) < 2.23
        assert kolmogorov(x[labels == label], lambda y, m=other: m.cdf(y, level)) > 10


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianMixture([0.0, 1.0], [1.0]),
        lambda: GaussianMixture([0.0, 1.0], [1.0, 0.0]),
        lambda: GaussianMixture([0.0, 1.0], [1.0, 1.0], [1.0, -1.0]),
        lambda: ClassMixture(numbers_mixture(), [[1.0, 0.0]]),
        lambda: ClassMixture(numbers_mixture(), [[1.0, 0.0, -1.0]]),
        lambda: image_mixture().cdf(float64([0.0]), Flow()(float64(0.5))),
    ],
)
def test_what_is_no_mixture_is_refused(make):
    with pytest.raises(UsageError):
        make()
