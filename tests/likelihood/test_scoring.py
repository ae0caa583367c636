"""Whole scores in worlds whose probabilities are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.likelihood.worlds import BoxDenoiser, DiscreteDenoiser, integrand, standardised
from tests.oracle.mutation import mutated

import undrift.likelihood.scoring as scoring_module
from undrift.conditioning import Condition
from undrift.diffusion import VE, Prediction, VPLinear
from undrift.errors import UsageError
from undrift.likelihood import (
    BoundMethod,
    FlowMethod,
    Proposal,
    Scorer,
    Span,
    ValueGrid,
    pilot,
)
from undrift.likelihood.bound import prior_divergence
from undrift.likelihood.reconstruction import level_costs

WEIGHTS = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
FOUR = ValueGrid(4)
CODEC = standardised(80.0, 140.0)
HIGH = 2 * math.log(8 / FOUR.spacing(CODEC, 1))  # values are 8 standard deviations apart
SPAN = Span(-10.0, HIGH)
PATH = VE(sigma_max=200.0)


def scorer(method, *, schedule=PATH, grid=FOUR, module=scoring_module, codec=CODEC, **options):
    denoiser = DiscreteDenoiser(FOUR.encoded(CODEC, 1)[0], WEIGHTS, schedule)
    return module.Scorer(
        bind=lambda condition, count: denoiser,
        schedule=schedule,
        codec=codec,
        std=1.0,
        grid=grid,
        span=SPAN,
        method=method,
        dtype=torch.float64,
        **options,
    )


def world(copies: int) -> np.ndarray:
    """Every image of the 1-pixel world, (4 copies, 1, 1, 1)."""
    return np.repeat(FOUR.values.numpy().astype(np.uint8), copies).reshape(-1, 1, 1, 1)


def probabilities(made: Scorer, copies: int) -> torch.Tensor:
    nats = made(world(copies)).nats.reshape(4, copies)
    return torch.from_numpy(np.exp(-nats)).mean(1)


@pytest.mark.parametrize("schedule", [PATH, VPLinear()], ids=lambda s: s.kind)
@pytest.mark.parametrize("kind", ["truncated_normal", "uniform"])
def test_the_ode_gives_every_image_its_probability(schedule, kind):
    """Weights p / q are unbiased for P, whatever q: their mean is P and the four sum to 1."""
    method = FlowMethod(points=97, dequantization=kind)
    copies = 24 if kind == "truncated_normal" else 150
    nats = scorer(method, schedule=schedule)(world(copies)).nats.reshape(4, copies)
    weights = np.exp(-nats)
    error = weights.std(1, ddof=1) / math.sqrt(copies) + 2e-3
    assert (np.abs(weights.mean(1) - WEIGHTS.numpy()) < 4 * error).all()
    assert abs(weights.mean(1).sum() - 1) < 4 * np.linalg.norm(error)
    if kind == "truncated_normal":
        assert weights.mean(1).sum() == pytest.approx(1, abs=5e-3)


def exact_bound(method: BoundMethod, proposal: Proposal) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of the bound of each of the four values, by quadrature over the noise."""
    denoiser = DiscreteDenoiser(FOUR.encoded(CODEC, 1)[0], WEIGHTS, PATH)
    count = 801 if method.steps is None else method.steps + 1
    log_snr = torch.linspace(SPAN.low, SPAN.high, count, dtype=torch.float64)
    found = integrand(denoiser, log_snr)
    if method.steps is None:
        mean = torch.trapezoid(found.mean, log_snr)
        variance = found.variance(proposal) / method.points
    else:
        # a step is counted with the error at its noisy end: SNR_{i-1} - SNR_i over SNR_i
        factor = log_snr.diff().exp() - 1
        mean = (found.mean[:, :-1] * factor).sum(1)
        variance = ((found.square - found.mean.square())[:, :-1] * factor.square()).sum(1)
    first = PATH(PATH.time_at(torch.tensor(SPAN.low, dtype=torch.float64)))
    prior = prior_divergence(denoiser.values.reshape(4, 1), first, 1.0)
    cost = level_costs(denoiser.values[None], math.exp(-SPAN.high / 2))[0]
    return mean + prior + cost, variance


def piloted(values: int) -> Proposal:
    """The proposal of this world's pilot, which looks at so many values."""
    copies = values // pilot.IMAGES
    x0 = CODEC.encode(torch.from_numpy(world(pilot.IMAGES // 4))).repeat(copies, 1, 1, 1)
    denoiser = DiscreteDenoiser(FOUR.encoded(CODEC, 1)[0], WEIGHTS, PATH)
    return pilot.pilot(denoiser, x0, schedule=PATH, span=SPAN, seed=0)


@pytest.mark.parametrize(
    "method", [BoundMethod(points=32), BoundMethod(steps=24), BoundMethod(steps=192)], ids=str
)
def test_bounds_give_at_most_their_share(method):
    copies = 100
    exact, variance = exact_bound(method, piloted(pilot.VALUES))
    share = (-exact).exp()
    # bounds on probabilities of one model sum to 1 at most, and each is about its own share's
    loose = method.steps is not None and method.steps < 100
    assert (0.3 if loose else 0.8) < float(share.sum()) < 1
    assert bool((share < WEIGHTS * (1 + 1e-4)).all())
    if method.steps is None:
        torch.testing.assert_close(share, WEIGHTS, rtol=1e-3, atol=0)
    nats = scorer(method)(world(copies)).nats.reshape(4, copies)
    error = (variance / copies).sqrt().numpy()
    assert (np.abs(nats.mean(1) - exact.numpy()) < 4 * error).all()


def test_a_pilot_finds_the_variance_that_a_few_values_hide():
    """Errors of discrete values are rare at clean levels: 32 values miss them, and starve them."""
    denoiser = DiscreteDenoiser(FOUR.encoded(CODEC, 1)[0], WEIGHTS, PATH)
    log_snr = torch.linspace(SPAN.low, SPAN.high, 801, dtype=torch.float64)
    found = integrand(denoiser, log_snr)
    bins = Proposal.fitted(SPAN, torch.ones(pilot.BINS)).bin(log_snr)
    moments = torch.stack([found.square.mean(0)[bins == k].mean() for k in range(pilot.BINS)])
    best, even = (
        float(found.variance(proposal).mean())
        for proposal in (Proposal.fitted(SPAN, moments), Proposal.uniform(SPAN))
    )
    assert pilot.repeats((1, 1, 1)) * pilot.IMAGES == pilot.VALUES
    assert pilot.repeats((3, 64, 64)) == 1
    assert float(found.variance(piloted(pilot.VALUES)).mean()) < 1.1 * best
    assert even > 1.5 * best
    assert float(found.variance(piloted(pilot.IMAGES)).mean()) > 1.5 * best


def test_longer_chains_are_tighter_and_the_continuous_bound_is_tight():
    """For an exact denoiser of discrete data the continuous bound is the probability itself."""
    copies = 100
    exact = -np.log(WEIGHTS.numpy())
    nats = {
        str(method): scorer(method)(world(copies)).nats.reshape(4, copies)
        for method in (BoundMethod(steps=12), BoundMethod(steps=48), BoundMethod(points=64))
    }
    short, long, continuous = nats.values()
    assert short.mean() > long.mean() > continuous.mean()
    error = continuous.std(1, ddof=1) / math.sqrt(copies) + 2e-3
    assert (np.abs(continuous.mean(1) - exact) < 4 * error).all()


def test_more_samples_tighten_the_uniform_bound():
    means = [
        scorer(FlowMethod(points=33, dequantization="uniform", samples=k))(world(30)).nats.mean()
        for k in (1, 3, 9)
    ]
    assert means[0] > means[1] > means[2] > -float((WEIGHTS.log()).mean()) - 0.1


def test_uniform_bytes_take_eight_bits():
    grid, codec = ValueGrid(256), standardised(74.0, 127.5)
    box = BoxDenoiser(128 / 74.0, PATH)
    bytes_ = np.array([20, 128, 200, 77], np.uint8).reshape(4, 1, 1, 1)
    made = Scorer(
        bind=lambda condition, count: box,
        schedule=PATH,
        codec=codec,
        std=1.0,
        grid=grid,
        span=Span(-10.0, 12.0),
        method=FlowMethod(points=129, dequantization="uniform", samples=1),
        dtype=torch.float64,
    )
    # each weight p / q is exact in the mean; for uniform q it has no noise at all
    np.testing.assert_allclose(made(bytes_).bits, 8, atol=1e-3)
    discrete = DiscreteDenoiser(grid.encoded(codec, 1)[0], torch.ones(256), PATH)
    high = 2 * math.log(9 / grid.spacing(codec, 1))
    made = Scorer(
        lambda condition, count: discrete,
        PATH,
        codec,
        1.0,
        grid,
        Span(-10.0, high),
        FlowMethod(points=129),
        dtype=torch.float64,
    )
    np.testing.assert_allclose(made(bytes_).bits, 8, atol=3e-3)


def test_the_score_of_an_image_is_its_own():
    images = world(3)
    for method in (BoundMethod(points=4), FlowMethod(points=9, trace="hutchinson")):
        whole = scorer(method)(images, batch_size=12).nats
        parts = scorer(method)(images, batch_size=5).nats
        np.testing.assert_allclose(parts, whole, rtol=1e-9)
        alone = scorer(method)(images[7:8], numbers=[7]).nats
        np.testing.assert_allclose(alone, whole[7:8], rtol=1e-9)
        other = scorer(method, seed=1)(images).nats
        assert np.abs(other - whole).max() > 1e-6


def test_the_terms_add_up_and_the_cost_is_counted():
    found = scorer(BoundMethod(points=6))(world(1))
    np.testing.assert_allclose(sum(found.terms.values()), found.nats)
    assert found.evaluations == 6 and found.backwards == 0 and found.dimensions == 1
    np.testing.assert_allclose(found.bits, found.nats / math.log(2))
    flow = scorer(FlowMethod(points=5, samples=2, probes=3, trace="hutchinson"))(world(1))
    assert flow.evaluations == 2 * 4 * 4 and flow.backwards == 3 * flow.evaluations


def test_classes_are_summed_over():
    """Two classes that each know two of the values: together they know all four."""
    halves = [torch.tensor([1.0, 2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 3.0, 4.0])]
    values = FOUR.encoded(CODEC, 1)[0]
    denoisers = [DiscreteDenoiser(values, half + 1e-30, PATH) for half in halves]
    made = Scorer(
        bind=lambda condition, count: denoisers[int(condition.labels[0])],
        schedule=PATH,
        codec=CODEC,
        std=1.0,
        grid=FOUR,
        span=SPAN,
        method=FlowMethod(points=49, samples=4),
        class_weights=(3.0, 7.0),
        dtype=torch.float64,
    )
    found = made(world(1))
    np.testing.assert_allclose(np.exp(-found.nats), WEIGHTS.numpy(), atol=5e-3)
    assert "marginal over 2 classes" in found.protocol
    assert found.evaluations == 2 * 4 * 4 * 48
    with pytest.raises(UsageError, match="choose one"):
        made(world(1), Condition({"labels": torch.zeros(4, dtype=torch.int64)}))


def test_a_lossy_codec_has_no_likelihood():
    lossy = standardised(80.0, 140.0)
    lossy.lossless = False
    with pytest.raises(UsageError, match="has no likelihood of pixels"):
        scorer(BoundMethod(points=2), codec=lossy)(world(1))


def test_half_precision_is_refused_and_the_callers_is_left_out():
    with pytest.raises(UsageError, match="the network is evaluated in bfloat16"):
        replace(scorer(BoundMethod(points=2)), dtype=torch.bfloat16)
    weight = torch.full((1, 1), 0.3)
    asked = []

    def denoise(x_t, t):
        found = x_t.flatten(1) @ weight.to(x_t)
        asked.append(found.dtype)
        return Prediction(x_t, PATH(t), found.reshape(x_t.shape))

    def bind(condition, count):
        asked.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return denoise

    for method in (BoundMethod(points=2), FlowMethod(points=3)):
        made = replace(scorer(method), bind=bind, dtype=torch.float32)
        alone = made(world(1)).nats
        with torch.autocast("cpu", torch.bfloat16):
            inside = made(world(1)).nats
        np.testing.assert_array_equal(inside, alone)
    assert set(asked) == {torch.float32}


SCORING_MUTANTS = [
    ("found.log_p + scorer.codec.log_abs_det(z)", "found.log_p + 2 * scorer.codec.log_abs_det(z)"),
    ("found.log_p + scorer.codec.log_abs_det(z)", "found.log_p"),
    ("scorer.codec.log_abs_det(z) - made.log_q", "scorer.codec.log_abs_det(z)"),
    ("scorer.codec.log_abs_det(z) - made.log_q", "scorer.codec.log_abs_det(z) + made.log_q"),
    ("z = scorer.codec.encode(made.pixels)", "z = scorer.codec.encode(scorer.grid.values[index])"),
]


@pytest.mark.parametrize(("old", "new"), SCORING_MUTANTS)
def test_mutants_of_the_constants_are_noticed(old, new):
    made = scorer(FlowMethod(points=49), module=mutated(scoring_module, old, new))
    assert float(probabilities(made, 8).sum()) != pytest.approx(1, abs=0.05)


def test_a_wrong_number_of_levels_is_noticed():
    """The same density, asked for bins of one value instead of 85."""
    wrong = scorer(FlowMethod(points=49, dequantization="uniform"), grid=ValueGrid(256))
    assert float(probabilities(wrong, 8).sum()) < 0.2
