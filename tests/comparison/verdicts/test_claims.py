"""Claims from planted runs, on each side of their margins, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.comparison.verdicts import (
    SCALING,
    Covered,
    control,
    coverage,
    inference,
    likelihood,
    newcombe,
    scaling,
    slope,
    stability,
)


def runs(mean, seed=0, count=6):
    noise = np.random.default_rng(seed).normal(0, 0.004, count)
    return dict(enumerate((mean + noise).tolist()))


@pytest.mark.parametrize(
    ("gan", "verdict"),
    [(0.80, "supported"), (0.90, "not supported"), (0.97, "not supported")],
)
def test_coverage_on_each_side_of_its_margin(gan, verdict):
    found = coverage({"images": Covered(runs(0.90), {"r3gan": runs(gan, 1)})})
    assert found.verdict == verdict and found.name == "coverage"
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.90 - gan, abs=0.01)


def test_coverage_beyond_zero_and_perhaps_within_the_margin_is_open():
    noisy = {seed: 0.87 + 0.02 * (-1) ** seed for seed in range(6)}
    found = coverage({"images": Covered(dict.fromkeys(range(6), 0.90), {"r3gan": noisy})})
    assert found.verdict == "inconclusive"


def test_gans_that_differ_make_it_mixed_and_the_strongest_gives_the_number():
    found = coverage(
        {"images": Covered(runs(0.90), {"dcgan": runs(0.60, 1), "r3gan": runs(0.93, 2)})}
    )
    assert found.verdict == "mixed" and found.value == pytest.approx(-0.03, abs=0.01)
    assert "against r3gan" in found.reason


def test_fewer_seeds_than_were_fixed_decide_nothing_however_clear_they_are():
    found = coverage({"images": Covered(runs(0.90, count=4), {"r3gan": runs(0.10, 1, count=4)})})
    assert found.verdict == "inconclusive" and found.value == pytest.approx(0.8, abs=0.01)
    assert "1 of 1 contrasts have fewer seeds than needed" in found.reason
    three = {"r3gan": runs(0.10, 1, count=4)}
    assert coverage({"stacked": Covered(runs(0.90, count=4), three, 3)}).verdict == "supported"


def test_a_claim_that_is_open_but_lost_in_part_says_that_it_cannot_be_supported():
    noisy = {seed: 0.87 + 0.02 * (-1) ** seed for seed in range(6)}
    covered_by = {"open": Covered(dict.fromkeys(range(6), 0.90), {"r3gan": noisy})}
    assert "cannot" not in coverage(covered_by).reason
    covered_by["lost"] = Covered(runs(0.90), {"r3gan": runs(0.95, 1)})
    found = coverage(covered_by)
    assert found.verdict == "inconclusive" and found.value < 0
    assert found.reason.endswith(
        "1 of 2 contrasts inconclusive, so that more seeds cannot make the claim supported"
    )


def test_without_numbers_the_reason_is_there_instead():
    for found in (
        coverage({"images": Covered({}, {"r3gan": {}})}),
        coverage({}),
        stability((0, 0), {"r3gan": (0, 5)}),
    ):
        assert found.value is found.low is found.high is None
        assert found.verdict == "inconclusive" and found.reason
        assert found.question.endswith("?")


def test_newcombes_published_example():
    # 56 of 70 against 48 of 80: 0.2 (0.0524, 0.3339), Newcombe 1998, table II, method 10
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("diffusion", "gan", "verdict"),
    [
        ((0, 35), (28, 35), "supported"),
        ((0, 35), (7, 35), "inconclusive"),
        ((0, 35), (0, 35), "not supported"),  # the fewest of which that can be said
        ((28, 35), (0, 35), "not supported"),
        ((0, 34), (34, 34), "inconclusive"),  # fewer than were fixed
    ],
)
def test_stability_on_each_side_of_its_margin(diffusion, gan, verdict):
    assert stability(diffusion, {"r3gan": gan}).verdict == verdict


def test_a_claim_rests_on_its_weakest_contrast_and_lists_them_all():
    perfect = dict.fromkeys(range(5), 1.0)
    covered_by = {
        "held-out images": Covered(runs(0.90), {"r3gan": runs(0.80, 1)}),
        "modes of ring8": Covered(
            perfect, {"r3gan": perfect, "dcgan": dict.fromkeys(range(5), 0.5)}
        ),
    }
    found = coverage(covered_by)
    assert found.verdict == "mixed" and found.value == found.low == found.high == 0.0
    assert "modes of ring8, against r3gan" in found.reason
    assert [part.verdict for part in found.parts] == ["supported", "not supported", "supported"]
    assert "2 of 3 contrasts supported; 1 of 3 contrasts not supported" in found.reason
    assert len(found.parts) == 3


def test_slopes_of_power_laws_are_their_exponents():
    floor = 0.5
    sizes = (1e5, 2e5, 8e5)
    points = [(size, floor + 3e4 * size**-0.7) for size in sizes]
    assert slope(points, floor) == pytest.approx(0.7 * np.log(2))
    assert slope(points[:1] * 2, floor) is None
    at_the_floor = [(size, 0.4) for size in sizes]
    assert slope(at_the_floor, floor) == pytest.approx(0.0)


def test_scaling_wants_a_steeper_fall_of_the_diffusion_model():
    steep, flat = dict.fromkeys(range(3), 0.5), dict.fromkeys(range(3), 0.2)
    parts = scaling({"unet": steep}, {"r3gan": flat}, "parameters")
    assert SCALING.result(parts).verdict == "supported"
    assert SCALING.result(scaling({"unet": flat}, {"r3gan": steep}, "images seen")).verdict == (
        "not supported"
    )
    assert SCALING.result([]).value is None


def test_control_needs_classes_and_hidden_halves():
    accuracy = {"seconds": (runs(0.95), {"r3gan": runs(0.85, 1)})}
    better, worse = runs(14.0), runs(12.0, 1)
    assert control(accuracy, (better, {"r3gan": worse})).verdict == "supported"
    found = control(accuracy, (worse, {"r3gan": better}))
    assert found.verdict == "mixed" and found.unit.startswith("dB") and found.value < -1.5
    assert control(accuracy, ({}, {"r3gan": {}})).verdict == "inconclusive"  # one part is open
    assert control({}, ({}, {})).value is None


def test_what_is_won_at_equal_seconds_may_be_lost_at_equal_images():
    accuracy = {
        "seconds": (runs(0.95), {"r3gan": runs(0.85, 1)}),
        "images": (runs(0.40), {"r3gan": runs(0.80, 1)}),
    }
    found = control(accuracy, (runs(14.0), {"r3gan": runs(12.0, 1)}))
    assert found.verdict == "mixed" and found.value == pytest.approx(-0.4, abs=0.01)
    assert "classes at equal images, against r3gan" in found.reason


def test_a_likelihood_must_beat_histograms_and_hold_for_unseen_images():
    baseline = runs(4.5, count=3)
    good, seen = {"bound": runs(3.0, 1, 3), "ODE": runs(3.1, 2, 3)}, {"bound": runs(2.95, 3, 3)}
    found = likelihood(baseline, good, seen)
    assert found.verdict == "supported" and len(found.parts) == 3
    by_heart = likelihood(baseline, good, {"bound": runs(1.0, 3, 3)})
    assert by_heart.verdict == "mixed" and "held-out less training" in by_heart.reason
    assert by_heart.value == pytest.approx(2.0, abs=0.05)
    assert found.value == pytest.approx(1.4, abs=0.05)  # a condition that holds gives no number
    assert likelihood(baseline, {"bound": runs(4.6, 1, 3)}, {}).verdict == "not supported"


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ({0: 3.0, 1: 3.2, 2: 2.9}, "supported"),
        ({0: 30.0, 1: 32.0, 2: 29.0}, "not supported"),
        ({0: 3.0, 1: 30.0, 2: 9.0}, "inconclusive"),
        ({0: 3.0, 1: 3.1, 2: None}, "inconclusive"),  # no mean, and no such share of three
        ({0: None, 1: None, 2: None}, "not supported"),
        ({0: 3.0, 1: 3.1}, "inconclusive"),
    ],
)
def test_speed_within_ten_times_the_gans(ratios, verdict):
    found = inference({"r3gan": ratios})
    assert found.verdict == verdict
    if ratios.get(2) == 2.9:
        assert found.value == pytest.approx((3.0 * 3.2 * 2.9) ** (1 / 3))
        assert found.low < found.value < found.high < 10


def test_of_two_gans_the_one_that_is_harder_to_follow_gives_the_number():
    fast, slow = {0: 8.0, 1: 8.1, 2: 7.9}, {0: 2.0, 1: 2.1, 2: 1.9}
    found = inference({"dcgan": slow, "r3gan": fast})
    assert found.verdict == "supported" and found.value == pytest.approx(8.0, abs=0.1)
    never = inference({"dcgan": slow, "r3gan": dict.fromkeys(range(3))})
    assert never.verdict == "mixed" and never.value is None and "never reached" in never.reason
    far = {seed: 19.0 + seed / 10 for seed in range(3)}
    beside = inference({"slow": far, "never": dict.fromkeys(range(3))})
    assert beside.verdict == "not supported" and beside.value is None  # farther than 19 times
