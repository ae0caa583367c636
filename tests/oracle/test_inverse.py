"""Hidden coordinates given the known ones, against conditionals in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.gaussian import Gaussian
from tests.oracle.mutation import mutated
from tests.oracle.test_terminal import CRITICAL

from undrift.diffusion import VE, Flow, GaussianMixture, SubVP, VPCosine, VPLinear
from undrift.randomness import generator
from undrift.sampling import DDPM, DPMpp2M, Heun, integrate, karras
from undrift.sampling.inverse import Measurement, MomentMatched, measurement, moments, repaint
from undrift.sampling.inverse.repaint import RePaint, time_travel

COUNT = 1200
SCHEDULES = [VE(), VPLinear(), VPCosine(), Flow(), SubVP()]

PAIR = Gaussian(
    torch.tensor([0.0, 0.5], dtype=torch.float64),
    torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64),
)
Y = torch.tensor([1.5, 9.0], dtype=torch.float64)  # the 9 is not known, and must not matter
KNOWN = torch.tensor([True, False])


class BatchNoise:
    """One draw per step for the whole batch."""

    def step(self, k, shape, purpose):
        draws = generator("inverse", purpose, k)
        return torch.randn((COUNT, *shape), generator=draws, dtype=torch.float64)


def begun(schedule, t):
    return BatchNoise().step(0, (2,), "initial") * schedule(t).sigma


def gap(x, cdf):
    """Kolmogorov-Smirnov's sqrt(N) D."""
    below = cdf(x.sort().values)
    rank = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    return float(torch.maximum((rank[1:] - below).max(), (below - rank[:-1]).max())) * len(x) ** 0.5


# ----------------------------------------------------------------------------------- RePaint


def repainted(resample, data=PAIR, schedule=None, steps=64, made=Measurement, rule=RePaint):
    schedule = schedule or VPCosine()
    times = time_travel(karras(schedule, steps), 1, resample)
    return integrate(
        data.denoiser(schedule),
        begun(schedule, times[0]),
        times,
        DDPM(),
        schedule=schedule,
        noise=BatchNoise(),
        after_step=rule(made(Y.expand(COUNT, 2), KNOWN), schedule),
    )


def errors_of_the_mean(x, posterior):
    """Distance of the hidden coordinate's mean from the posterior's, in standard errors."""
    std = posterior.covariance[1, 1].sqrt()
    return abs(float((x[:, 1].mean() - posterior.mean[1]) / std)) * math.sqrt(COUNT)


def test_resampling_brings_the_hidden_coordinate_to_its_posterior():
    posterior = PAIR.given(Y, KNOWN)
    ends = [repainted(resample) for resample in (1, 4, 16)]
    gaps = [gap(x[:, 1], lambda z: posterior.cdf(z, 1)) for x in ends]
    assert gaps[0] > 4 * CRITICAL and gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert gaps[2] < CRITICAL
    assert errors_of_the_mean(ends[0], posterior) > 20
    assert errors_of_the_mean(ends[2], posterior) < 4
    for x in ends:
        assert torch.equal(x[:, 0], Y[0].expand(COUNT))


def test_it_does_the_same_on_every_path():
    wanted = repainted(2, schedule=VPCosine(), steps=12)
    for schedule in (VE(), Flow()):
        torch.testing.assert_close(repainted(2, schedule=schedule, steps=12), wanted)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (measurement, "torch.where(self.known, put, x)", "torch.where(self.known, x, put)"),
        (repaint, "over(x_s, known)", "over(known, x_s)"),
    ],
)
def test_the_mask_the_wrong_way_round_misses_the_posterior(module, old, new):
    mutant = mutated(module, old, new)
    parts = {"made": mutant.Measurement} if module is measurement else {"rule": mutant.RePaint}
    x = repainted(16, steps=24, **parts)
    assert not errors_of_the_mean(x, PAIR.given(Y, KNOWN)) < 8
    assert errors_of_the_mean(repainted(16, steps=24), PAIR.given(Y, KNOWN)) < 4


MODES = GaussianMixture(
    torch.tensor([[-1.0, -1.0], [1.0, 0.8], [1.0, -0.6]]), [0.35, 0.3, 0.3], [0.4, 0.3, 0.3]
)


def posterior_of_modes(y):
    """The hidden coordinate of `MODES` given the first: a mixture of numbers."""
    level = VPCosine()(0.0)
    first = GaussianMixture(MODES.means[:, 0], MODES.stds)
    weights = torch.stack(
        [
            weight * GaussianMixture(mean[None], std[None]).log_density(y[None], level).exp()[0]
            for weight, mean, std in zip(MODES.weights, first.means, first.stds, strict=True)
        ]
    )
    return GaussianMixture(MODES.means[:, 1], MODES.stds, weights)


def test_resampling_rules_out_modes_that_the_known_coordinate_excludes():
    posterior, level = posterior_of_modes(torch.tensor(1.5, dtype=torch.float64)), VPCosine()(0.0)
    assert posterior.weights[0] < 1e-6
    gaps = [
        gap(repainted(resample, MODES, steps=48)[:, 1], lambda z: posterior.cdf(z, level))
        for resample in (1, 8)
    ]
    assert gaps[0] > 1.5 * CRITICAL and gaps[1] < CRITICAL


# --------------------------------------------------------------------------- moment matching

SIX = Gaussian.correlated(6)
THREE = torch.tensor([True, False, True, False, False, True])
SIX_Y = torch.linspace(-1, 1, 6, dtype=torch.float64)


def expected(schedule, t, iterations, noise=0.0, module=moments, known=THREE):
    """D' and the exact E[x_0 | x_t, y] at a few points."""
    x = 2 * torch.randn(5, 6, generator=generator("points"), dtype=torch.float64)
    measured = Measurement(SIX_Y.expand(5, 6), known, noise)
    denoise = module.MomentMatched(SIX.denoiser(schedule), measured, iterations)
    exact = SIX.given(SIX_Y, THREE, noise).denoiser(schedule)
    return denoise(x, t).x0, exact(x, t).x0


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_it_is_exact_for_a_gaussian_after_as_many_iterations_as_known_values(schedule, noise, t):
    found, wanted = expected(schedule, torch.tensor(t, dtype=torch.float64), 3, noise)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_every_iteration_brings_it_nearer():
    t = torch.tensor(0.5, dtype=torch.float64)
    pairs = [expected(VPCosine(), t, iterations) for iterations in (1, 2, 3, 6)]
    errors = [float((found - wanted).norm()) for found, wanted in pairs]
    assert errors[0] > errors[1] > 1e3 * errors[2]
    assert errors[3] < 1e-6  # more than are needed do no harm


def test_each_image_may_have_its_own_time():
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    found, wanted = expected(VPCosine(), t, 3, 0.1)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("level.sigma**2 / level.alpha", "level.sigma / level.alpha"),
        ("values - x0)", "x0 - values)"),
        ("x0 + hidden, given", "x0 - hidden, given"),
        ("inner(product)", "product"),  # A left out of A C A^T
        ("values - torch.where", "values + torch.where"),
        ("+ noise**2 * direction", ""),
        ("residual - step * bent", "residual + step * bent"),
        ("size / before * direction", "before / size * direction"),
    ],
)
def test_mutants_of_moment_matching_are_caught(old, new):
    t = torch.tensor(0.5, dtype=torch.float64)
    found, wanted = expected(VPCosine(), t, 3, 0.3, mutated(moments, old, new))
    assert not (found - wanted).abs().max() < 1e-3


def test_moments_of_the_hidden_values_are_caught():
    t = torch.tensor(0.5, dtype=torch.float64)
    found, wanted = expected(VPCosine(), t, 3, known=~THREE)
    assert (found - wanted).abs().max() > 0.1


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=lambda schedule: schedule.kind)
def test_in_pure_noise_known_values_are_what_was_measured(schedule):
    assert schedule(1.0).alpha == 0
    for noise in (0.0, 0.3):
        found, _ = expected(schedule, torch.tensor(1.0, dtype=torch.float64), 3, noise)
        assert torch.equal(found, torch.where(THREE, SIX_Y, SIX.mean).expand(5, 6))


@pytest.mark.parametrize("solver", [Heun(), DPMpp2M()], ids=lambda solver: solver.name)
@pytest.mark.parametrize("schedule", [VE(), VPLinear()], ids=lambda schedule: schedule.kind)
def test_samples_of_a_gaussian_have_the_posterior_law(solver, schedule):
    times = karras(schedule, 48)
    measured = Measurement(Y.expand(COUNT, 2), KNOWN)
    denoise = MomentMatched(PAIR.denoiser(schedule), measured)
    x = integrate(denoise, begun(schedule, times[0]), times, solver, schedule=schedule)
    posterior = PAIR.given(Y, KNOWN)
    assert gap(x[:, 1], lambda z: posterior.cdf(z, 1)) < CRITICAL
    assert errors_of_the_mean(x, posterior) < 4
    assert torch.equal(x[:, 0], Y[0].expand(COUNT))


def test_nothing_known_changes_nothing_and_gradients_stay_inside():
    t = torch.tensor(0.4, dtype=torch.float64)
    x = torch.randn(4, 2, generator=generator(1), dtype=torch.float64, requires_grad=True)
    denoise = MODES.denoiser(Flow())
    nothing = Measurement(torch.zeros(4, 2, dtype=torch.float64), torch.tensor([False, False]))
    with torch.no_grad():
        made = MomentMatched(denoise, nothing)(x, t)
    torch.testing.assert_close(made.x0, denoise(x, t).x0.detach())
    assert not made.x0.requires_grad and x.grad is None
