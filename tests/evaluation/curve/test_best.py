"""Which sampler is called best within a budget, and when the order may be chance."""

from __future__ import annotations

from undrift.evaluation.curve.best import best_within
from undrift.results.curve import CurvePoint, PointMetric


def cell(sampler, nfe, value, half=0.1, name="fd"):
    ends = (None, None) if half is None else (value - half, value + half)
    metrics = {name: PointMetric(value, *ends, name)}
    return CurvePoint(sampler, nfe, nfe, seconds=nfe, metrics=metrics)


CELLS = [
    cell("heun", 5, 9.0),
    cell("heun", 15, 2.0),
    cell("dpmpp_2m", 4, 8.0),
    cell("dpmpp_2m", 5, 4.0),
    cell("dpmpp_2m", 15, 2.15),
    cell("dpmpp_2m", 20, 2.3),
]


def test_a_budget_is_the_most_that_may_be_spent():
    found = best_within(CELLS, "fd", "lower", [20, 3, 4, 10, 15])
    assert [(f.budget, f.sampler, f.nfe, f.value) for f in found] == [
        (4, "dpmpp_2m", 4, 8.0),
        (10, "dpmpp_2m", 5, 4.0),
        (15, "heun", 15, 2.0),
        (20, "heun", 15, 2.0),  # fewer evaluations may be better than more
    ]


def test_the_runner_up_is_another_sampler_at_its_best():
    four, ten, fifteen, twenty = best_within(CELLS, "fd", "lower", [4, 10, 15, 20])
    assert four.runner_up is None and four.overlaps is None
    assert (ten.runner_up.sampler, ten.runner_up.nfe) == ("heun", 5)
    assert ten.overlaps is False
    assert fifteen.runner_up.value == 2.15 and fifteen.overlaps is True
    assert twenty.runner_up.nfe == 15


def test_higher_is_better_for_shares_and_a_tie_goes_to_the_cheaper():
    cells = [cell("a", 4, 0.5), cell("b", 4, 0.9), cell("b", 8, 0.9), cell("a", 8, 0.95, None)]
    four, eight = best_within(cells, "fd", "higher", [4, 8])
    assert (four.sampler, four.value, four.overlaps) == ("b", 0.9, False)
    assert (eight.sampler, eight.runner_up.nfe) == ("a", 4)
    assert eight.overlaps is None  # an interval is missing


def test_touching_intervals_overlap():
    cells = [cell("a", 4, 1.0, 0.5), cell("b", 4, 2.0, 0.5)]
    assert best_within(cells, "fd", "lower", [4])[0].overlaps is True
    assert best_within(cells, "fd", "higher", [4])[0].overlaps is True
    apart = [cell("a", 4, 1.0, 0.5), cell("b", 4, 2.25, 0.5)]
    assert best_within(apart, "fd", "lower", [4])[0].overlaps is False


def test_points_without_the_metric_do_not_compete():
    cells = [cell("a", 4, 1.0, name="kid"), cell("b", 4, 3.0)]
    assert best_within(cells, "fd", "lower", [4])[0].sampler == "b"
    assert best_within(cells, "vendi", "lower", [4]) == ()
