"""The last step fitted to the data: its distance, its slopes, and what it may not spoil."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.oracle.mutation import mutated
from tests.pipelines.models import small

from undrift.evaluation.tuning import calibration, likeness
from undrift.evaluation.tuning.calibration import even_labels
from undrift.evaluation.tuning.cases import Source, draw_cases
from undrift.evaluation.tuning.likeness import Likeness
from undrift.evaluation.tuning.run import tunable
from undrift.metrics.frechet import frechet_distance
from undrift.pipelines import SampleSpec
from undrift.randomness import generator
from undrift.sampling import karras, solver
from undrift.sampling.learned import errors, tabulate

STEPS, COUNT = 3, 32


def noise(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    drawn = torch.randint(0, 256, (count, *shape), generator=generator(seed, "images"))
    return drawn.numpy().astype(np.uint8)


def gap(module, levels: torch.Tensor) -> float:
    """Distance by ``module`` less the metric's own, over the latter."""
    made = module.Likeness.to(noise(200, 6, 5, 1), 0)
    features = made.features(levels)
    wanted = frechet_distance(features.numpy(), made.moments)
    return abs(float(made.distance(features)) / wanted - 1)


LEVELS = torch.rand(150, 1, 6, 5, generator=generator(1, "levels")) * 200


def test_the_distance_is_the_metrics_own():
    assert gap(likeness, LEVELS) < 1e-6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- 2 * overlap", "- overlap"),
        ("features.mean(0) - mean", "(features.mean(0) - mean) / 2"),
        ("(len(features) - 1)", "len(features)"),
        ("features - features.mean(0)", "features"),
        ("half.T @ covariance @ half", "half @ covariance @ half.T"),
    ],
)
def test_mutants_of_the_distance_are_noticed(old, new):
    assert gap(mutated(likeness, old, new), LEVELS) > 1e-4


@pytest.mark.parametrize("side", [6, 80])
def test_features_of_levels_are_those_of_bytes(side):
    """Above 64 pixels both average; the bytes are rounded after it, the levels are not."""
    images = noise(20, side, side - 1, 1)
    space = Likeness.to(images, 0).space
    ours = space.of_levels(torch.from_numpy(images).permute(0, 3, 1, 2).float()).double().numpy()
    wanted = space.features(images)
    off = np.abs(ours - wanted)
    assert off.max() < 1e-4 if side == 6 else off.mean() < 0.02 * wanted.mean()
    assert np.abs(wanted).max() > 1


def test_its_slopes_are_those_of_finite_differences():
    made = Likeness.to(noise(200, 6, 5, 1), 0)
    base, other = LEVELS, torch.rand(150, 1, 6, 5, generator=generator(2, "levels")) * 50

    def distance(weight: torch.Tensor) -> torch.Tensor:
        return made.distance(made.features(base + weight.float() * other))

    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    distance(weight).backward()
    ends = [float(distance(weight.detach() + step)) for step in (-2e-3, 2e-3)]
    assert float(weight.grad) == pytest.approx((ends[1] - ends[0]) / 4e-3, rel=0.02)


@pytest.fixture(scope="module")
def source():
    return Source(tunable(small()), 1.0, 0)


@pytest.fixture(scope="module")
def data(source):
    """Images like the model's own, with a third more contrast."""
    images = source.pipeline(600, seed=9, labels="all", steps=40).images.astype(float)
    return (110 + 1.33 * (images - 110)).round().clip(0, 255).astype(np.uint8)


def calibrated(source, data, furthest, module=calibration):
    table = tabulate(solver("dpmpp_2m"), source.schedule, karras(source.schedule, STEPS))
    choose = draw_cases(source, range(COUNT))
    told = []
    found = module.calibrate(
        source,
        table,
        Likeness.to(data, 0),
        choose,
        count=COUNT,
        furthest=furthest,
        on_part=told.append,
    )
    assert sum(told) == (module.FITTED + module.TESTED) * COUNT
    return table, found, float(errors(choose, found.table, source.schedule).mean())


def test_the_last_step_brings_images_to_the_data(source, data):
    table, found, _ = calibrated(source, data, 1e9)
    assert found.after < 0.7 * found.before
    last = found.table.coefficients[-1]
    assert torch.equal(found.table.coefficients[:-1], table.coefficients[:-1])
    assert torch.equal(found.table.times, table.times)
    # on seeds of its own, through the pipeline: contrast is what these data have more of
    spread = [
        source.pipeline(300, seed=4, labels="all", sampler="dpmpp_2m", steps=STEPS).images.std()
    ]
    spread.append(spread[0] * float(last.sum() / table.coefficients[-1].sum()))
    assert abs(spread[1] - data.std()) < abs(spread[0] - data.std())


def test_it_never_leads_further_from_the_fine_solution_than_wanted(source, data):
    table, free, error = calibrated(source, data, 1e9)
    before = float(errors(draw_cases(source, range(COUNT)), table, source.schedule).mean())
    assert error > 1.02 * before, "nothing to be forbidden"
    middle = (error + before) / 2
    _, bound, error = calibrated(source, data, middle)
    assert before < error <= middle and free.after < bound.after < bound.before
    _, none, error = calibrated(source, data, 0.5 * before)
    assert none.before == none.after and error == before


def test_what_does_not_help_other_seeds_is_not_taken(source, monkeypatch):
    """A fit to its own images alone: here one that goes the wrong way."""
    data = source.pipeline(400, seed=9, labels="all", steps=40).images
    monkeypatch.setattr(calibration, "_fitted", lambda distance, start: -start)
    table, found, _ = calibrated(source, data, 1e9)
    assert found.table is table and found.after == found.before


@pytest.mark.parametrize("shares", [(), (1.0, 2.0, 5.0), (0.7, 0.0, 0.3)])
@pytest.mark.parametrize("count", [30, 501])
def test_labels_are_as_often_as_in_the_data(shares, count):
    spec = SampleSpec((1, 4, 4), ("a", "b", "c"), shares)
    found = np.bincount(even_labels(spec, count), minlength=3)
    wanted = np.array(shares or (1.0, 1.0, 1.0))
    assert np.abs(found - count * wanted / wanted.sum()).max() < 2.5
    assert even_labels(SampleSpec((1, 4, 4)), 5) is None
