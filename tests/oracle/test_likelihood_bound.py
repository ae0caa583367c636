"""Variational bounds against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated

import undrift.likelihood.bound as bound_module
from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine, VPLinear
from undrift.likelihood.bound import continuous_bound, discrete_bound, prior_divergence
from undrift.likelihood.flow import flow_log_density
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.span import Span
from undrift.likelihood.trace import ExactTrace
from undrift.randomness import generator

F64 = torch.float64
SPAN = Span(-5.0, 13.3)
LOG_SNR = (SPAN.low, SPAN.high)
SCHEDULES = (VPLinear(), VPCosine(), VE(), Flow())


def signs(std: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Four equally likely pairs of data and noise with the second moments of Gaussian ones."""
    x0 = torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=F64).reshape(4, 1) * std
    noise = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=F64).reshape(4, 1)
    return x0, noise


PATH = VPLinear()
LOOPED = 8


def gaussian_bound(std, schedule=PATH, points=None, steps=None, module=bound_module, s=1.0):
    """Expected bound for N(0, std^2): its integrand is quadratic, so four pairs are exact."""
    law = GaussianMixture(torch.zeros(1, 1), [std])
    denoiser = law.denoiser(schedule)
    x0, noise = signs(std)
    nothing = torch.zeros(4, dtype=F64)
    if steps is not None:
        return module.discrete_bound(
            denoiser, x0, nothing, lambda i: noise, schedule=schedule, span=SPAN, std=s, steps=steps
        )
    # the middles of ``points`` equal parts, most of them side by side in the batch
    rows = max(1, points // LOOPED)
    offset = (torch.arange(rows, dtype=F64) + 0.5) / points
    return module.continuous_bound(
        denoiser,
        x0.repeat(rows, 1),
        nothing.repeat(rows),
        lambda j: noise.repeat(rows, 1),
        offset.repeat_interleave(4),
        schedule=schedule,
        proposal=Proposal.uniform(SPAN),
        std=s,
        points=points // rows,
    )


def diffusion_term(std: float) -> float:
    """1/2 [ln(1 + SNR_max s^2) - ln(1 + SNR_min s^2)]."""
    low, high = (math.log1p(math.exp(end) * std**2) for end in LOG_SNR)
    return (high - low) / 2


def chain_excess(std: float, steps: int) -> float:
    """Nats of a T-step chain above the integral: sum of [rho - log(1 + rho)] / 2."""
    snr = torch.linspace(SPAN.high, SPAN.low, steps + 1, dtype=F64).exp()
    rho = (snr[:-1] - snr[1:]) * std**2 / (1 + snr[1:] * std**2)
    return float((rho - rho.log1p()).sum() / 2)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("variance", [0.05, 0.25, 1.0, 3.0])
def test_the_diffusion_term_of_a_gaussian(variance, schedule):
    std = math.sqrt(variance)
    found = float(gaussian_bound(std, schedule, points=4000).diffusion.mean())
    assert found == pytest.approx(diffusion_term(std), abs=1e-6)


@pytest.mark.parametrize("variance", [0.05, 0.25, 1.0, 3.0])
def test_the_bound_of_a_gaussian_exceeds_its_entropy_by_what_the_ends_leave_out(variance):
    std = math.sqrt(variance)
    schedule = VPLinear()
    bound = gaussian_bound(std, schedule, points=4000)
    top = math.exp(SPAN.high)
    reconstruction = math.log(2 * math.pi * math.e / top) / 2
    whole = float((bound.prior + bound.diffusion).mean()) + reconstruction
    entropy = math.log(2 * math.pi * math.e * variance) / 2
    alpha2 = 1 / (1 + math.exp(-SPAN.low))
    sigma2 = 1 - alpha2
    # what is left: log(1 + 1 / (SNR_max s^2)) / 2 at the clean end, and at the noisy one the
    # divergence of the law there from the prior
    marginal = alpha2 * variance + sigma2
    noisy = (marginal - 1 - math.log(marginal)) / 2
    clean = math.log1p(1 / (top * variance)) / 2
    assert whole - entropy == pytest.approx(clean + noisy, abs=1e-6)


def test_the_prior_term_is_a_divergence_of_gaussians():
    x0 = torch.tensor([[0.7, -1.9], [0.0, 0.0]], dtype=F64)
    level = VE()(VE().time_at(-3.0))
    z = torch.linspace(-60, 60, 24_001, dtype=F64)

    def log_density(mean, variance):
        return -((z - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2

    for std in (0.5, 1.0):
        r2 = math.exp(3.0)
        ours, prior = log_density(x0[..., None], r2), log_density(0.0, std**2 + r2)
        wanted = torch.trapezoid(ours.exp() * (ours - prior), z).sum(1)
        torch.testing.assert_close(prior_divergence(x0, level, std), wanted, rtol=0, atol=1e-9)


def test_a_chain_of_more_steps_is_tighter_and_tends_to_the_integral():
    """Each step costs rho / 2 where the information is log(1 + rho) / 2, which telescopes."""
    whole = diffusion_term(0.5)
    excess = []
    for steps in (10, 50, 250, 1000):
        found = float(gaussian_bound(0.5, steps=steps).diffusion.mean()) - whole
        assert found == pytest.approx(chain_excess(0.5, steps), abs=1e-6)
        excess.append(found)
    assert excess[0] > excess[1] > excess[2] > excess[3] > 0
    assert excess[2] / excess[3] == pytest.approx(4, rel=0.05)  # of first order in 1 / T


def test_any_proposal_gives_the_same_integral_and_the_fitted_one_less_noise():
    law = GaussianMixture(torch.zeros(1, 1), [0.25])
    denoiser = law.denoiser(VE())
    n = 4000
    drawn = generator(3, "proposal")
    x0 = law.sample(n, drawn)
    noise = torch.randn((n, 1), generator=drawn, dtype=F64)
    offset = torch.rand(n, generator=drawn, dtype=F64)
    mse = lambda lam: 0.0625 / (1 + torch.exp(lam) * 0.0625)  # noqa: E731
    centres = torch.linspace(SPAN.low, SPAN.high, 65, dtype=F64)[:-1]
    moments = (torch.exp(centres) * mse(centres)).square()
    found = {}
    for name, proposal in (
        ("uniform", Proposal.uniform(SPAN)),
        ("fitted", Proposal.fitted(SPAN, moments)),
    ):
        found[name] = continuous_bound(
            denoiser,
            x0,
            torch.zeros(n, dtype=F64),
            lambda j: noise,
            offset,
            schedule=VE(),
            proposal=proposal,
            std=1.0,
            points=1,
        ).diffusion
    for name, values in found.items():
        error = float(values.std()) / math.sqrt(n)
        assert abs(float(values.mean()) - diffusion_term(0.25)) < 4 * error, name
    assert float(found["fitted"].var()) < 0.8 * float(found["uniform"].var())


def test_low_discrepancy_levels_cover_the_span_for_every_image():
    proposal = Proposal.fitted(SPAN, torch.tensor([1.0, 9.0, 0.0, 4.0]))
    assert float(proposal.masses.sum()) == pytest.approx(1)
    quantile = (torch.arange(10_000, dtype=F64) + 0.5) / 10_000
    log_snr, density = proposal.at(quantile)
    assert bool((log_snr.diff() > 0).all())
    counts = torch.bincount(proposal.bin(log_snr), minlength=4).double() / 10_000
    torch.testing.assert_close(counts, proposal.masses, atol=2e-4, rtol=0)
    assert float((1 / density).mean()) == pytest.approx(SPAN.width, rel=1e-3)


def test_bound_and_flow_agree_for_an_exact_denoiser():
    """Both read the density of the data with the least noise, but for that noise's own entropy."""
    law = GaussianMixture(
        torch.tensor([[-0.9, 0.4, 0.2, -0.6], [0.7, -0.5, 0.9, 0.3]]).reshape(2, 1, 2, 2),
        [0.3, 0.45],
    )
    span = Span(-10.0, 10.0)
    schedule = VPLinear()
    denoiser = law.denoiser(schedule)
    n, d = 500, 4
    drawn = generator(5, "agree")
    x0 = law.sample(n, drawn)
    u = x0 + math.exp(-span.high / 2) * torch.randn(x0.shape, generator=drawn, dtype=F64)
    flow = flow_log_density(
        denoiser, u[:200], schedule=schedule, span=span, std=1.0, trace=ExactTrace(4), dtype=F64
    )
    exact = law.log_density(u, VE()(VE().time_at(span.high)))
    assert float((flow.log_p - exact[:200]).abs().mean()) < 0.02
    # E log q(u | x_0) + E[...]: the bound of the *noised* data, whose gap closes as T grows
    entropy = d / 2 * math.log(2 * math.pi * math.e * math.exp(-span.high))
    gaps, errors = [], []
    for steps in (32, 128, 512):
        bound = discrete_bound(
            denoiser,
            x0,
            torch.zeros(n, dtype=F64),
            lambda i, steps=steps: torch.randn(
                x0.shape, generator=generator(6, steps, i), dtype=F64
            ),
            schedule=schedule,
            span=span,
            std=1.0,
            steps=steps,
        )
        difference = bound.total + entropy + exact
        gaps.append(float(difference.mean()) / d)
        errors.append(float(difference.std()) / math.sqrt(n) / d)
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert -4 * errors[2] < gaps[2] < 0.1
    whole = continuous_bound(
        denoiser,
        x0,
        torch.zeros(n, dtype=F64),
        lambda j: torch.randn(x0.shape, generator=generator(7, j), dtype=F64),
        torch.rand(n, generator=drawn, dtype=F64),
        schedule=schedule,
        proposal=Proposal.uniform(span),
        std=1.0,
        points=64,
    )
    difference = (whole.total + entropy + exact) / d
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / math.sqrt(n) + 1e-3


BOUND_MUTANTS = [
    ("total += (snr[i - 1] - snr[i]) / 2 * error", "total += (snr[i - 1] - snr[i]) * error"),
    (
        "squared_error(denoise, x0, schedule, levels[i], noise",
        "squared_error(denoise, x0, schedule, levels[i - 1], noise",
    ),
    ("log_snr.exp() / 2 * error / density", "log_snr.exp() / 2 * error * density"),
    ("log_snr.exp() / 2 * error / density", "error / 2 / density"),
    ("+ per_sample(level.sigma, x0) * noise.to(x0)", ""),
    ("each.flatten(1).sum(1) / 2", "each.flatten(1).sum(1)"),
    ("- 1 - share.log()", "- 1 + share.log()"),
]


@pytest.mark.parametrize(("old", "new"), BOUND_MUTANTS)
def test_mutants_of_the_bound_are_noticed(old, new):
    std = 0.5
    mutant = mutated(bound_module, old, new)
    whole = diffusion_term(std)
    chain = float(gaussian_bound(std, steps=200, module=mutant).diffusion.mean()) - whole
    integral = float(gaussian_bound(std, points=4000, module=mutant).diffusion.mean()) - whole
    prior = float(gaussian_bound(std, points=1, module=mutant).prior.mean())
    alpha2 = 1 / (1 + math.exp(-SPAN.low))
    wanted = (1 - alpha2 + alpha2 * std**2 - 1 - math.log(1 - alpha2)) / 2
    right = (
        chain == pytest.approx(chain_excess(std, 200), abs=1e-6)
        and integral == pytest.approx(0, abs=1e-6)
        and prior == pytest.approx(wanted, abs=1e-9)
    )
    assert not right
