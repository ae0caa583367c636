"""Whole scores in worlds whose probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.likelihood.worlds import BoxDenoiser, DiscreteDenoiser, standardised
from tests.oracle.mutation import mutated

import undrift.likelihood.scoring as scoring_module
from undrift.diffusion import VE, VPLinear
from undrift.errors import UsageError
from undrift.likelihood import BoundMethod, FlowMethod, Scorer, Span, ValueGrid

WEIGHTS = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
FOUR = ValueGrid(4)
CODEC = standardised(80.0, 140.0)
HIGH = 2 * math.log(8 / FOUR.spacing(CODEC, 1))  # values are 8 standard deviations apart
SPAN = Span(-10.0, HIGH)
PATH = VE(sigma_max=200.0)


def scorer(method, *, schedule=PATH, grid=FOUR, module=scoring_module, codec=CODEC, **options):
    denoiser = DiscreteDenoiser(FOUR.encoded(CODEC, 1)[0], WEIGHTS, schedule)
    return module.Scorer(
        bind=lambda labels, count: denoiser,
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
    copies = 24 if kind == "truncated_normal" else 400
    nats = scorer(method, schedule=schedule)(world(copies)).nats.reshape(4, copies)
    weights = np.exp(-nats)
    error = weights.std(1, ddof=1) / math.sqrt(copies) + 2e-3
    assert (np.abs(weights.mean(1) - WEIGHTS.numpy()) < 4 * error).all()
    assert abs(weights.mean(1).sum() - 1) < 4 * np.linalg.norm(error)
    if kind == "truncated_normal":
        assert weights.mean(1).sum() == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize(
    "method", [BoundMethod(points=32), BoundMethod(steps=24), BoundMethod(steps=192)], ids=str
)
def test_bounds_give_at_most_their_share(method):
    copies = 100
    nats = scorer(method)(world(copies)).nats.reshape(4, copies)
    bound = np.exp(-nats.mean(1))
    noise = nats.std(1, ddof=1) / math.sqrt(copies)
    assert (bound < WEIGHTS.numpy() * np.exp(4 * noise)).all()
    assert bound.sum() < 1 + 4 * float(noise.max())
    loose = method.steps is not None and method.steps < 100
    assert bound.sum() > (0.3 if loose else 0.8)


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
        for k in (1, 4, 16)
    ]
    assert means[0] > means[1] > means[2] > -float((WEIGHTS.log()).mean()) - 0.1


def test_uniform_bytes_take_eight_bits():
    grid, codec = ValueGrid(256), standardised(74.0, 127.5)
    box = BoxDenoiser(128 / 74.0, PATH)
    bytes_ = np.array([20, 128, 200, 77], np.uint8).reshape(4, 1, 1, 1)
    for kind in ("uniform", "truncated_normal"):
        made = Scorer(
            bind=lambda labels, count: box,
            schedule=PATH,
            codec=codec,
            std=1.0,
            grid=grid,
            span=Span(-10.0, 12.0),
            method=FlowMethod(points=257, dequantization=kind, samples=1),
            dtype=torch.float64,
        )
        # each weight p / q is exact in the mean; for uniform q it has no noise at all
        if kind == "uniform":
            np.testing.assert_allclose(made(bytes_).bits, 8, atol=1e-3)
    discrete = DiscreteDenoiser(grid.encoded(codec, 1)[0], torch.ones(256), PATH)
    high = 2 * math.log(9 / grid.spacing(codec, 1))
    made = Scorer(
        lambda labels, count: discrete,
        PATH,
        codec,
        1.0,
        grid,
        Span(-10.0, high),
        FlowMethod(points=257),
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
        bind=lambda labels, count: denoisers[int(labels[0])],
        schedule=PATH,
        codec=CODEC,
        std=1.0,
        grid=FOUR,
        span=SPAN,
        method=FlowMethod(points=97, samples=4),
        class_weights=(3.0, 7.0),
        dtype=torch.float64,
    )
    found = made(world(1))
    np.testing.assert_allclose(np.exp(-found.nats), WEIGHTS.numpy(), atol=5e-3)
    assert "marginal over 2 classes" in found.protocol
    assert found.evaluations == 2 * 4 * 4 * 96
    with pytest.raises(UsageError, match="choose one"):
        made(world(1), np.zeros(4, np.int64))


def test_a_lossy_codec_has_no_likelihood():
    lossy = standardised(80.0, 140.0)
    lossy.lossless = False
    with pytest.raises(UsageError, match="has no likelihood of pixels"):
        scorer(BoundMethod(points=2), codec=lossy)(world(1))


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
