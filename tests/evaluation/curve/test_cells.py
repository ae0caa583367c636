"""Steps that cost exactly what was asked for, counted on a model that does nothing."""

from __future__ import annotations

import pytest
from tests.pipelines.models import small

from undrift.conditioning import Number
from undrift.conditioning.maps import MapSpec
from undrift.conditioning.text import TextSpec
from undrift.errors import UsageError
from undrift.evaluation.curve.points import points_of
from undrift.results.curve import Point


def planned(samplers, budgets, **settings):
    return points_of(small(), samplers, budgets, **({"guidance": None, "grid": None} | settings))


def test_one_evaluation_a_step_and_two_but_for_the_last():
    cells, skipped = planned(["euler", "heun"], [10, 5, 4])
    assert cells == [
        Point("euler", 4, 4),
        Point("euler", 5, 5),
        Point("heun", 5, 3),
        Point("euler", 10, 10),
    ]
    assert [(one.sampler, one.nfe) for one in skipped] == [("heun", 4), ("heun", 10)]
    assert skipped[0].reason == "2 steps cost 3, 3 cost 5"
    assert skipped[1].reason == "5 steps cost 9, 6 cost 11"


def test_guidance_costs_two_forwards():
    cells, skipped = planned(["dpmpp_2m", "heun"], [5, 10, 12], guidance=2.0)
    assert cells == [
        Point("dpmpp_2m", 10, 5),
        Point("heun", 10, 3),
        Point("dpmpp_2m", 12, 6),
    ]
    assert {(one.sampler, one.nfe) for one in skipped} == {
        ("dpmpp_2m", 5),
        ("heun", 5),
        ("heun", 12),
    }


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_plan_is_what_the_pipeline_counts(guidance):
    pipeline = small()
    cells, _ = points_of(
        pipeline, ["heun", "euler", "ddpm"], [6, 7, 14], guidance=guidance, grid="log_snr"
    )
    assert len(cells) >= 5
    for cell in cells:
        samples = pipeline(1, steps=cell.steps, sampler=cell.sampler, guidance=guidance)
        assert samples.nfe == cell.nfe


def test_models_of_every_kind_of_condition_are_planned_alike():
    grey = MapSpec("grey", (1, 6, 5), "grey")
    text = TextSpec.fit(["a cat"], most=5)
    model = small(text=text, numbers=(Number("age", 0.0, 1.0, -1.0, 1.0),), maps=(grey,))
    assert points_of(model, ["euler"], [4], guidance=1.0, grid=None)[0] == [Point("euler", 4, 4)]


def test_learned_samplers_that_a_model_does_not_have():
    cells, skipped = planned(["learned", "euler"], [5])
    assert cells == [Point("euler", 5, 5)]
    assert skipped[0].sampler == "learned" and "none" in skipped[0].reason


def test_unknown_names():
    with pytest.raises(UsageError, match="unknown sampler 'dpm9'"):
        planned(["dpm9"], [5])
    with pytest.raises(UsageError, match="unknown grid"):
        planned(["euler"], [5], grid="square")
