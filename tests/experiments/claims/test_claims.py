"""Claims from planted runs, on each side of their margins, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.experiments.claims import coverage, newcombe, stability


def runs(mean, seed=0, count=6):
    noise = np.random.default_rng(seed).normal(0, 0.004, count)
    return dict(enumerate((mean + noise).tolist()))


@pytest.mark.parametrize(
    ("gan", "verdict"),
    [(0.80, "supported"), (0.90, "not supported"), (0.97, "not supported")],
)
def test_coverage_on_each_side_of_its_margin(gan, verdict):
    found = coverage(runs(0.90), {"r3gan": runs(gan, 1)})
    assert found.verdict == verdict and found.name == "coverage"
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.90 - gan, abs=0.01)


def test_coverage_beyond_zero_and_perhaps_within_the_margin_is_open():
    noisy = {seed: 0.87 + 0.02 * (-1) ** seed for seed in range(6)}
    found = coverage(dict.fromkeys(range(6), 0.90), {"r3gan": noisy})
    assert found.verdict == "inconclusive"


def test_gans_that_differ_make_it_mixed_and_the_strongest_gives_the_number():
    found = coverage(runs(0.90), {"dcgan": runs(0.60, 1), "r3gan": runs(0.93, 2)})
    assert found.verdict == "mixed" and found.value == pytest.approx(-0.03, abs=0.01)
    assert "against r3gan" in found.reason


def test_fewer_seeds_than_were_fixed_decide_nothing_however_clear_they_are():
    found = coverage(runs(0.90, count=4), {"r3gan": runs(0.10, 1, count=4)})
    assert found.verdict == "inconclusive" and found.value == pytest.approx(0.8, abs=0.01)
    assert "fewer than the 5 seeds" in found.reason


def test_without_numbers_the_reason_is_there_instead():
    for found in (coverage({}, {"r3gan": {}}), stability((0, 0), {"r3gan": (0, 5)})):
        assert found.value is found.low is found.high is None
        assert found.verdict == "inconclusive" and found.reason
        assert found.to_json()["question"].endswith("?")


def test_newcombes_published_example():
    # 56 of 70 against 48 of 80: 0.2 (0.0524, 0.3339), Newcombe 1998, table II, method 10
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("diffusion", "gan", "verdict"),
    [
        ((0, 25), (20, 25), "supported"),
        ((0, 5), (5, 5), "supported"),
        ((0, 5), (2, 5), "inconclusive"),
        ((0, 5), (0, 5), "inconclusive"),  # five runs that hold say little of how often they do
        ((0, 60), (0, 60), "not supported"),
        ((20, 25), (0, 25), "not supported"),
        ((0, 4), (4, 4), "inconclusive"),
    ],
)
def test_stability_on_each_side_of_its_margin(diffusion, gan, verdict):
    assert stability(diffusion, {"r3gan": gan}).verdict == verdict
