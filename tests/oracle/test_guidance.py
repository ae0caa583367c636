"""Classifier-free guidance against exact mixtures: where it is off, and what it tilts to."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, ClassMixture, Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.networks import Context
from undrift.randomness import generator
from undrift.sampling import ClassifierFree, CountedDenoiser, Heun, integrate, karras
from undrift.sampling.guidance import classifier_free

SCHEDULES = [VE(10.0), VPCosine(), Flow()]
CLASSES = ClassMixture(
    GaussianMixture(torch.tensor([[-1.0, 0.0], [0.5, 1.0], [1.0, -1.0]]), [0.3, 0.4, 0.5]),
    [[0.7, 0.3, 0.0], [0.0, 0.2, 0.8]],
    [0.4, 0.6],
)
LABELS = torch.tensor([0, 1, 0, 1, 1])
POINTS = torch.randn(5, 2, generator=generator(3), dtype=torch.float64)


def contexts():
    return Context(vector=CLASSES.weights(LABELS)), Context(
        vector=CLASSES.weights(torch.full_like(LABELS, -1))
    )


def guided(schedule, scale, module=classifier_free, batched=True):
    context, negative = contexts()
    denoise = module.ClassifierFree(CLASSES.denoiser(schedule), scale, negative, batched)
    t = torch.tensor(0.4, dtype=torch.float64)
    return denoise(POINTS, t, context)


def tilted_score(schedule, scale):
    """Gradient of log p(x)^(1-w) p(x|c)^w by autograd of the exact densities."""
    level = schedule(torch.tensor(0.4, dtype=torch.float64))
    x = POINTS.clone().requires_grad_()
    conditional = CLASSES.marginal.log_density(x, level, CLASSES.weights(LABELS))
    marginal = CLASSES.marginal.log_density(x, level)
    log_density = scale * conditional + (1 - scale) * marginal
    return torch.autograd.grad(log_density.sum(), x)[0]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 2.0, 7.5])
@pytest.mark.parametrize("batched", [True, False])
def test_guided_score_is_that_of_the_tilted_density(schedule, scale, batched):
    score = guided(schedule, scale, batched=batched).score
    torch.testing.assert_close(score, tilted_score(schedule, scale), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(x0, x0_negative, self.scale)", "(x0_negative, x0, self.scale)"),  # sign
        ("[context, self.negative]", "[self.negative, context]"),
        ("x0_negative, self.scale)", "x0_negative, 1 + self.scale)"),  # the paper's w, off by one
    ],
)
def test_mutants_miss_the_tilted_density(old, new):
    mutant = mutated(classifier_free, old, new)
    score = guided(Flow(), 2.0, mutant).score
    assert (score - tilted_score(Flow(), 2.0)).abs().max() > 0.1


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_scales_1_and_0_are_one_plain_forward(scale):
    context, negative = contexts()
    counted = CountedDenoiser(CLASSES.denoiser(Flow()))
    t = torch.tensor(0.4, dtype=torch.float64)
    plain = CLASSES.denoiser(Flow())(POINTS, t, context if scale else negative)
    made = ClassifierFree(counted, scale, negative)(POINTS, t, context)
    assert torch.equal(made.x0, plain.x0)
    assert counted.images == len(POINTS)


@pytest.mark.parametrize("batched", [True, False])
def test_other_scales_cost_two_forwards_per_image(batched):
    context, negative = contexts()
    counted = CountedDenoiser(CLASSES.denoiser(Flow()))
    guide = ClassifierFree(counted, 2.0, negative, batched)
    guide(POINTS, torch.tensor(0.4, dtype=torch.float64), context)
    assert counted.images == 2 * len(POINTS)


def test_times_of_each_image_keep_their_own_level():
    context, negative = contexts()
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    guide = ClassifierFree(CLASSES.denoiser(Flow()), 2.0, negative)
    together = guide(POINTS, t, context)
    assert together.level.t.shape == (5,)
    for i in range(5):
        alone = ClassifierFree(CLASSES.denoiser(Flow()), 2.0, negative[i : i + 1])
        made = alone(POINTS[i : i + 1], t[i], context[i : i + 1])
        torch.testing.assert_close(together.x0[i : i + 1], made.x0)


def test_guided_samples_of_one_gaussian_class_are_exact():
    """Where class and rest are one Gaussian each, the guided flow is linear; solve it by hand.

    p(x|c) = N(m, 1) and the negative N(0, 1) give, on a VP path, score_w = -x + w alpha m. With
    alpha = cos phi and sigma = sin phi the probability-flow ODE is dx/dphi = -w m sin phi, so x
    moves by w m on its way from pure noise to data.
    """
    pair = ClassMixture(GaussianMixture([1.5, 0.0], [1.0, 1.0]), [[1.0, 0.0], [0.0, 1.0]])
    chosen, other = (Context(vector=pair.weights(torch.full((7,), c))) for c in (0, 1))
    x = torch.linspace(-2, 2, 7, dtype=torch.float64)
    schedule = VPCosine()
    times = torch.linspace(1, 0, 257, dtype=torch.float64)
    for scale in (1.0, 3.0):
        guide = ClassifierFree(pair.denoiser(schedule), scale, other)
        end = integrate(
            lambda x_t, t, guide=guide: guide(x_t, t, chosen), x, times, Heun(), schedule=schedule
        )
        torch.testing.assert_close(end, x + scale * 1.5, rtol=0, atol=0.01)


def test_guidance_sharpens_the_class():
    context, negative = contexts()
    x = 10 * torch.randn(5, 2, generator=generator(5), dtype=torch.float64)
    likelihoods = []
    for scale in (0.0, 1.0, 4.0):
        guide = ClassifierFree(CLASSES.denoiser(VE(10.0)), scale, negative)
        grid = karras(VE(10.0), 40)
        end = integrate(lambda a, t, g=guide: g(a, t, context), x, grid, Heun(), schedule=VE(10.0))
        level = VE(10.0)(0.0)
        given = CLASSES.marginal.log_density(end, level, CLASSES.weights(LABELS))
        likelihoods.append(float((given - CLASSES.marginal.log_density(end, level)).mean()))
    assert likelihoods[0] < likelihoods[1] < likelihoods[2]


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_scale_must_be_finite(scale):
    with pytest.raises(UsageError, match="finite"):
        ClassifierFree(CLASSES.denoiser(Flow()), scale)
