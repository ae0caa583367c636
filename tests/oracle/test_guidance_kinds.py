"""Guidance of every kind against exact mixtures with classes: their tilted densities are known."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated
from tests.oracle.test_guidance import CLASSES, LABELS, POINTS, SCHEDULES, contexts, tilted_score

from undrift.diffusion import ClassMixture, Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.networks import Context
from undrift.sampling import ClassifierFree, CountedDenoiser
from undrift.sampling.guidance import autoguidance, classifier, composed, extrapolation, interval

T = torch.tensor(0.4, dtype=torch.float64)
SCALES = torch.tensor([1.0, 0.0, 2.0, 7.5, -1.0], dtype=torch.float64)
WEAK = ClassMixture(
    GaussianMixture(torch.tensor([[-1.2, 0.3], [0.1, 0.4], [1.1, -0.6]]), [0.7, 0.9, 0.8]),
    [[0.6, 0.4, 0.0], [0.1, 0.2, 0.7]],
    [0.5, 0.5],
)
PAIR = (LABELS, 1 - LABELS)
"""Two conditions of each row."""
WEIGHTS = torch.tensor([[1.0, 0.5, 0.0, 2.0, 1.0], [1.0, 0.7, 1.5, -0.5, 0.0]], dtype=torch.float64)


def density(mixture, schedule, labels=None, x=None):
    level = schedule(T)
    return mixture.marginal.log_density(
        x, level, None if labels is None else mixture.weights(labels)
    )


def gradient(log_density):
    """The score of a density that is a function of the points."""
    x = POINTS.clone().requires_grad_()
    return torch.autograd.grad(log_density(x).sum(), x)[0]


def same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def differ(found, wanted):
    assert not (found - wanted).abs().max() < 1e-2


@pytest.mark.parametrize("batched", [True, False])
def test_every_row_has_the_scale_of_its_own(batched):
    context, negative = contexts()
    guide = ClassifierFree(CLASSES.denoiser(Flow()), SCALES, negative, batched)
    score = guide(POINTS, T, context).score
    for row, scale in enumerate(SCALES.tolist()):
        same(score[row], tilted_score(Flow(), scale)[row])
    plain = CLASSES.denoiser(Flow())(POINTS, T, context)
    assert torch.equal(guide(POINTS, T, context).x0[0], plain.x0[0])  # scale 1, bit by bit


def auto(schedule, scale, module=autoguidance, weak=WEAK):
    given, weaker = (Context(vector=one.weights(LABELS)) for one in (CLASSES, weak))
    made = module.Autoguidance(CLASSES.denoiser(schedule), weak.denoiser(schedule), scale, weaker)
    return made(POINTS, T, given)


def tilted_from_weak(schedule, scale):
    return gradient(
        lambda x: (
            scale * density(CLASSES, schedule, LABELS, x)
            + (1 - scale) * density(WEAK, schedule, LABELS, x)
        )
    )


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0, 4.0])
def test_autoguidance_is_the_score_of_the_density_over_the_weak_one(schedule, scale):
    same(auto(schedule, scale).score, tilted_from_weak(schedule, scale))


def test_autoguidance_by_the_model_itself_is_the_identity():
    plain = CLASSES.denoiser(Flow())(POINTS, T, Context(vector=CLASSES.weights(LABELS)))
    for scale in (0.5, 3.0):
        assert torch.equal(auto(Flow(), scale, weak=CLASSES).x0, plain.x0)
    differ(auto(Flow(), 3.0).x0, plain.x0)


def test_the_weak_model_is_not_asked_at_scale_1():
    counted = CountedDenoiser(WEAK.denoiser(Flow()))
    strong = CLASSES.denoiser(Flow())
    given = Context(vector=CLASSES.weights(LABELS))
    autoguidance.Autoguidance(strong, counted, 1.0, given)(POINTS, T, given)
    assert counted.images == 0


def several(schedule, scale, module=composed):
    terms = [
        (weight, Context(vector=CLASSES.weights(labels)))
        for weight, labels in zip(WEIGHTS, PAIR, strict=True)
    ]
    _, negative = contexts()
    return module.Composed(CLASSES.denoiser(schedule), terms, scale, negative)(POINTS, T)


def product(schedule, scale):
    """Score of p(x) prod_k (p(x | c_k) / p(x))^(w a_k)."""

    def log_density(x):
        whole = density(CLASSES, schedule, x=x)
        terms = (
            weight * (density(CLASSES, schedule, labels, x) - whole)
            for weight, labels in zip(WEIGHTS, PAIR, strict=True)
        )
        return whole + scale * sum(terms)

    return gradient(log_density)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_several_conditions_are_the_product_of_their_likelihoods(schedule, scale):
    same(several(schedule, scale).score, product(schedule, scale))


def test_one_condition_of_weight_1_is_classifier_free_guidance():
    context, negative = contexts()
    one = torch.ones(5, dtype=torch.float64)
    made = composed.Composed(CLASSES.denoiser(Flow()), [(one, context)], 2.5, negative)
    same(made(POINTS, T).score, tilted_score(Flow(), 2.5))


def classified(schedule, scale, module=classifier):
    def log_probability(x, level):
        given = CLASSES.marginal.log_density(x, level, CLASSES.weights(LABELS))
        return given - CLASSES.marginal.log_density(x, level)  # + log p(c), a constant

    made = module.ClassifierGuided(CLASSES.denoiser(schedule), log_probability, scale)
    return made(POINTS, T)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_classifier_guidance_is_bayes_rule_raised_to_the_scale(schedule, scale):
    # p(x) p(c | x)^w = p(x)^(1 - w) p(x | c)^w, up to a constant
    same(classified(schedule, scale).score, tilted_score(schedule, scale))
    same(classified(schedule, SCALES).score[2], tilted_score(schedule, 2.0)[2])


def test_pure_noise_carries_nothing_to_classify():
    made = classifier.ClassifierGuided(
        CLASSES.denoiser(Flow()), lambda x, level: 100 * x.sum(1), 2.0
    )
    end = torch.tensor(1.0, dtype=torch.float64)
    assert torch.equal(made(POINTS, end).x0, CLASSES.denoiser(Flow())(POINTS, end).x0)


def limited(low, high, t=T, module=interval):
    context, negative = contexts()
    plain = CLASSES.denoiser(VPCosine())
    guide = ClassifierFree(plain, 3.0, negative)
    return module.WithinInterval(guide, plain, VPCosine(), low, high)(POINTS, t, context)


@pytest.mark.parametrize(("low", "high", "scale"), [(0, 9, 3.0), (0.9, 9, 1.0), (0, 0.5, 1.0)])
def test_an_interval_guides_within_its_noise_levels_alone(low, high, scale):
    assert 0.5 < float(VPCosine()(T).ratio) < 0.9
    same(limited(low, high).score, tilted_score(VPCosine(), scale))


def test_an_interval_may_hold_some_rows_of_a_batch():
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    ratio = VPCosine()(t).ratio
    low, high = float(ratio[0]), float(ratio[3])  # open below, closed above
    made = limited(low, high, t).x0
    inside, outside = limited(0.0, 1e9, t).x0, limited(1e8, 1e9, t).x0
    assert torch.equal(made[1:4], inside[1:4])
    assert torch.equal(made[[0, 4]], outside[[0, 4]])


def test_rescaling_pulls_the_spread_of_each_image_back():
    context, negative = contexts()
    denoise = CLASSES.denoiser(Flow())
    x0 = denoise(POINTS, T, context).x0.numpy()
    full = ClassifierFree(denoise, 4.0, negative)(POINTS, T, context).x0
    for share in (0.0, 0.3, 1.0):
        made = ClassifierFree(denoise, 4.0, negative, rescale=share)(POINTS, T, context).x0
        for row in range(5):
            ratio = x0[row].std() / full[row].numpy().std()
            same(made[row], share * ratio * full[row] + (1 - share) * full[row])
    even = torch.ones(2, 3, dtype=torch.float64)  # no spread to rescale
    assert torch.equal(extrapolation.rescaled(even, 2 * even, 0.5), even)


@pytest.mark.parametrize(
    ("module", "old", "new", "made", "wanted"),
    [
        (autoguidance, "(strong.x0, weak,", "(weak, strong.x0,", auto, tilted_from_weak),
        (autoguidance, "self.weak(x_t", "self.denoiser(x_t", auto, tilted_from_weak),
        (composed, "(x0 - away.x0)", "x0", several, product),
        (composed, "weight, x0) *", "weight.abs(), x0) *", several, product),
        (composed, "(together, away.x0,", "(away.x0, together,", several, product),
        (classifier, "level.sigma**2 /", "level.sigma /", classified, tilted_score),
        (classifier, "prediction.x0 + w", "prediction.x0 - w", classified, tilted_score),
        (interval, "& (ratio <= self.high)", "", lambda *_: None, None),
    ],
)
def test_mutants_miss_the_closed_forms(module, old, new, made, wanted):
    mutant = mutated(module, old, new)
    if wanted is None:
        differ(limited(0, 0.5, module=mutant).score, tilted_score(VPCosine(), 1.0))
    else:
        differ(made(VPCosine(), 3.0, mutant).score, wanted(VPCosine(), 3.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda denoise: ClassifierFree(denoise, torch.tensor([1.0, float("nan")])),
        lambda denoise: autoguidance.Autoguidance(denoise, denoise, float("inf")),
        lambda denoise: composed.Composed(denoise, []),
        lambda denoise: composed.Composed(denoise, [(torch.tensor([float("nan")]), None)]),
        lambda denoise: ClassifierFree(denoise, 2.0, rescale=1.5),
        lambda denoise: interval.WithinInterval(denoise, denoise, Flow(), 3.0, 1.0),
        lambda denoise: interval.WithinInterval(denoise, denoise, Flow(), -1.0),
    ],
)
def test_what_cannot_be(make):
    with pytest.raises(UsageError, match="give"):
        make(CLASSES.denoiser(Flow()))


def test_an_interval_without_an_end_holds_pure_noise():
    plain = CLASSES.denoiser(Flow())
    guided = CLASSES.denoiser(Flow(), LABELS)
    end = torch.tensor(1.0, dtype=torch.float64)
    made = interval.WithinInterval(guided, plain, Flow(), 0.5)(POINTS, end)
    assert torch.equal(made.x0, guided(POINTS, end).x0)
