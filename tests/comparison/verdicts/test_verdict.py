"""Verdicts from planted intervals on every side of the margin, and from planted runs."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.comparison.verdicts import MARGINS, combined, standing, verdict_of
from undrift.errors import UsageError
from undrift.metrics.catalogue import METRICS
from undrift.metrics.seeds import paired_over_seeds


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.1, 2.0, "supported"),
        (0.5, 2.0, "inconclusive"),  # better, but perhaps by too little to matter
        (1.0, 2.0, "inconclusive"),  # the margin itself is not beyond the margin
        (-0.5, 2.0, "inconclusive"),
        (0.2, 0.9, "not supported"),  # better for certain, and too little
        (-0.5, 0.5, "not supported"),
        (-3.0, -2.0, "not supported"),
        (None, None, "inconclusive"),
    ],
)
def test_each_side_of_the_margin(low, high, verdict):
    assert verdict_of(low, high, 1.0) == verdict


@pytest.mark.parametrize(
    ("low", "high", "lower", "higher"),
    [
        (1.1, 2.0, "worse", "better"),
        (-2.0, -1.1, "better", "worse"),
        (-0.9, 0.9, "alike", "alike"),
        (0.2, 0.9, "alike", "alike"),
        (-0.9, 1.2, "open", "open"),
        (0.9, 1.2, "open", "open"),
        (None, None, "open", "open"),
    ],
)
def test_standing_knows_which_way_is_better(low, high, lower, higher):
    assert standing(low, high, 1.0, "lower") == lower
    assert standing(low, high, 1.0, "higher") == higher


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["not supported", "not supported"], "not supported"),
        (["supported", "not supported"], "mixed"),
        (["supported", "not supported", "inconclusive"], "mixed"),
        (["supported", "inconclusive"], "inconclusive"),
        (["not supported", "inconclusive"], "inconclusive"),
        (["mixed", "supported"], "mixed"),
    ],
)
def test_parts_combine(parts, verdict):
    assert combined(parts) == verdict


def test_nonsense_is_refused():
    for ask in (
        lambda: verdict_of(2.0, 1.0, 1.0),
        lambda: verdict_of(0.0, 1.0, -1.0),
        lambda: combined([]),
    ):
        with pytest.raises(UsageError):
            ask()


@pytest.mark.parametrize(("effect", "wanted"), [(3.0, "worse"), (-3.0, "better"), (0.0, "alike")])
def test_planted_effects_are_found_and_planted_equality_is_told_from_ignorance(effect, wanted):
    draws = np.random.default_rng(1)
    shared = draws.normal(10.0, 5.0, 8)
    first = dict(enumerate((shared + draws.normal(0, 0.3, 8)).tolist()))
    second = dict(enumerate((shared + effect + draws.normal(0, 0.3, 8)).tolist()))
    found = paired_over_seeds(second, first)
    assert found is not None
    assert standing(found.low, found.high, 1.0, "lower") == wanted
    few = {seed: second[seed] for seed in (0,)}
    alone = paired_over_seeds(few, first)
    assert alone is not None and standing(alone.low, alone.high, 1.0, "lower") == "open"


def test_a_claim_without_an_effect_is_rarely_supported():
    """Equation (1) at the margin itself: an interval of 95 % errs on this side in 2.5 %."""
    draws = np.random.default_rng(2).normal(1.0, 2.0, (4000, 5))
    found = [paired_over_seeds(dict(enumerate(row)), dict.fromkeys(range(5), 0.0)) for row in draws]
    share = np.mean([verdict_of(one.low, one.high, 1.0) == "supported" for one in found if one])
    assert abs(share - 0.025) < 4 * (0.025 * 0.975 / 4000) ** 0.5


def test_every_metric_that_has_a_better_has_a_margin():
    judged = {name for name, metric in METRICS.items() if metric.better != "neither"}
    assert set(MARGINS) == judged
    assert MARGINS["fd"].of(20.0) == 2.0 and MARGINS["coverage"].of(0.5) == 0.02
    assert "10% of the first" in MARGINS["fd"].words
