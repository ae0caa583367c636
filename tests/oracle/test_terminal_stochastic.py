"""Stochastic solvers end in the data's distribution, and their ends are exact."""

from __future__ import annotations

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated
from tests.oracle.noise import Path
from tests.oracle.test_terminal import COUNT, CRITICAL, distance

from undrift.diffusion import Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import ImageNoise, integrate, uniform
from undrift.sampling.solvers import (
    DDIM,
    DPM2Ancestral,
    DPMpp2MSDE,
    DPMpp2SAncestral,
    DPMpp3MSDE,
    DPMppSDE,
    EulerMaruyama,
    HeunChurn,
    HeunEDM,
    PredictorCorrector,
    churn,
    predictor_corrector,
)

CHURN = HeunChurn(gamma=0.1, s_min=0.0, s_max=1e9, s_noise=1.0)
RULES = [DDIM(), DPMppSDE(), DPMpp2MSDE(), DPMpp3MSDE(), EulerMaruyama(), CHURN]
EVERY = [*RULES, DPM2Ancestral(), DPMpp2SAncestral(), PredictorCorrector()]


def ends(rule, schedule, steps, scale=1.0):
    """Distance to the mixture a little above t = 0: the step to 0 returns a mean, no sample."""
    times = torch.linspace(1, 0.002, steps + 1, dtype=torch.float64)
    level = schedule(times[0])
    x = order.MIXTURE.sample(COUNT, generator(0, "data")) * level.alpha
    x = x + level.sigma * Path(COUNT, 1).step(0, (), "initial")
    denoise = order.MIXTURE.denoiser(schedule)
    noise = Path(COUNT, 2, scale=scale)
    x = integrate(denoise, x, times, rule, schedule=schedule, noise=noise)
    return distance(x, schedule(times[-1]))


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_they_draw_from_the_data_at_fine_steps(rule, schedule):
    assert ends(rule, schedule, 256 if rule.order == 1 else 160) < CRITICAL


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_they_do_not_at_coarse_steps(rule):
    assert ends(rule, VPCosine(), 8 if rule.order == 1 else 4) > 1.5 * CRITICAL


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_tenth_less_noise_is_caught(rule):
    assert ends(rule, VPCosine(), 96, scale=0.85) > 1.5 * CRITICAL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("log1p(self.gamma)", "log1p(-self.gamma)"),  # sign
        ("transition(x, level_t, level)", "transition(x, level, level_t)"),
        ("denoise, x, level, level_s", "denoise, x, level_t, level_s"),  # index
        ("x = transition(", "transition("),  # noise that is not added
    ],
)
def test_mutants_of_the_churn_are_caught(old, new):
    """With so much churn that what it does cannot be missed."""
    settings = {"gamma": 0.4, "s_min": 0.0, "s_max": 1e9, "s_noise": 1.0}
    genuine, mutant = HeunChurn(**settings), mutated(churn, old, new).HeunChurn(**settings)
    assert abs(churned_spread(genuine) - 1) < 1e-6
    assert not abs(churned_spread(mutant) - 1) < 0.02


def churned_spread(rule):
    """How far a step carries its new noise, in units of what is right."""
    schedule = VPCosine()
    level_t, level_s = schedule(0.6), schedule(0.59)
    x = torch.zeros(3, dtype=torch.float64)
    noise = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    gaussian = order.GAUSSIAN.denoiser(schedule)
    memory = rule.start(x, schedule)
    moved = rule.step(gaussian, x, level_t, level_s, memory, lambda purpose: noise)[0]
    above = schedule(schedule.time_at(level_t.log_snr - 2 * torch.log1p(torch.tensor(0.4))))
    fresh = (above.sigma**2 - (above.alpha / level_t.alpha * level_t.sigma) ** 2).sqrt()

    start = above.alpha / level_t.alpha * x + fresh * noise
    wanted = HeunEDM().step(gaussian, start, above, level_s, None, lambda purpose: noise)[0]
    return float((moved[2] - moved[0]) / (wanted[2] - wanted[0]))


# ----------------------------------------------------- predictor-corrector, on whole images


def corrected(module, snr=0.05):
    """Distance of one pixel's values after Langevin steps at one level, on 8 x 8 images."""
    shape = (1, 8, 8)
    mixture = GaussianMixture(
        torch.linspace(-1, 1, 2)[:, None, None, None].expand(2, *shape), [0.5, 0.5]
    )
    schedule, count = VPCosine(), 200
    times = torch.linspace(0.9, 0.3, 121, dtype=torch.float64)
    level = schedule(times[0])
    x = mixture.sample(count, generator(0, "data")) * level.alpha
    x = x + level.sigma * torch.randn(x.shape, generator=generator(1), dtype=torch.float64)
    rule = module.PredictorCorrector(snr=snr)
    noise = Path(count, 2)
    x = integrate(mixture.denoiser(schedule), x, times, rule, schedule=schedule, noise=noise)
    level = schedule(times[-1])
    spread = (level.alpha**2 * 0.25 + level.sigma**2).sqrt()
    centre = x.mean((1, 2, 3), keepdim=True).sign() * level.alpha
    return float(((x - centre) / spread).square().mean())


def test_the_corrector_keeps_the_law():
    assert abs(corrected(predictor_corrector) - 1) < 0.04


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("length * score", "-length * score"),
        ("torch.sqrt(2 * length)", "torch.sqrt(4 * length)"),
        ("denoise(x_s, level_s.t).score", "denoise(x_s, level_t.t).epsilon"),
    ],
)
def test_mutants_of_the_corrector_are_caught(old, new):
    assert not abs(corrected(mutated(predictor_corrector, old, new)) - 1) < 0.12


# ------------------------------------------------------------------------ the two ends


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.name)
def test_both_ends_are_finite_and_the_last_is_the_denoised_image(rule, schedule):
    seen = []

    def denoise(x, t):
        assert t > 0
        prediction = order.MIXTURE.denoiser(schedule)(x, t)
        seen.append(prediction.x0)
        return prediction

    x = torch.linspace(-2, 2, 9) * schedule(1.0).sigma
    noise = ImageNoise(0, range(9))
    end = integrate(denoise, x, uniform(schedule, 4), rule, schedule=schedule, noise=noise)
    assert torch.isfinite(end).all()
    assert end.dtype == torch.float32
    assert torch.equal(end, seen[-1])


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
@pytest.mark.parametrize("rule", [*RULES[:5], PredictorCorrector(corrections=0)], ids=repr)
def test_a_first_step_from_pure_noise_replaces_it(rule, schedule):
    """alpha_s D + sigma_s z: of x, only what the denoiser made of it is left."""
    level_t, level_s = schedule(1.0), schedule(0.9)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)

    class Draw:
        def brownian(self, level_t, level_s):
            return torch.full_like(x, 0.5)

    denoise = order.MIXTURE.denoiser(schedule)
    x_s = rule.step(denoise, x, level_t, level_s, rule.start(x, schedule), Draw())[0]
    wanted = level_s.alpha * denoise(x, level_t.t).x0 + level_s.sigma * 0.5
    torch.testing.assert_close(x_s, wanted)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.name)
def test_an_image_does_not_depend_on_its_batch(rule):
    schedule, times = VPCosine(), uniform(VPCosine(), 5)
    mixture = GaussianMixture(torch.linspace(-1, 1, 2)[:, None].expand(2, 4), [0.5, 0.5])
    denoise = mixture.denoiser(schedule)

    def drawn(indices):
        noise = ImageNoise(3, indices)
        x = noise.initial((4,)).double()
        return integrate(denoise, x, times, rule, schedule=schedule, noise=noise)

    whole = drawn(range(5))
    torch.testing.assert_close(drawn([3, 1]), whole[[3, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DDIM(eta=1.5),
        lambda: DDIM(s_noise=-1.0),
        lambda: DPMppSDE(eta=-0.1),
        lambda: DPMpp2MSDE(eta=float("nan")),
        lambda: DPMpp2MSDE(mean="median"),  # type: ignore[arg-type]
        lambda: DPMpp3MSDE(eta=float("inf")),
        lambda: EulerMaruyama(eta=2.0),
        lambda: HeunChurn(gamma=0.5),
        lambda: HeunChurn(s_min=2.0, s_max=1.0),
        lambda: HeunChurn.of(40.0, 0),
        lambda: PredictorCorrector(snr=0.0),
        lambda: PredictorCorrector(corrections=-1),
    ],
)
def test_settings_that_no_step_can_have_are_refused(make):
    with pytest.raises(UsageError):
        make()
