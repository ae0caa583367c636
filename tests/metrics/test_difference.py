"""Paired differences: nothing between a set and itself, the truth between two that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics import Comparison, Images, paired_differences
from undrift.metrics.difference import PAIRED, leave_out, value_of
from undrift.metrics.jackknife import groups


class Flat:
    """Features that are the pixels: the space of the closed forms."""

    name = "flat@0"
    description = "pixels"
    dimension = 4
    standard_fid = False

    def features(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float64) / 10 - 12.8


def draw(shift: float, rng: np.random.Generator, n: int = 400) -> Images:
    """Four pixels of N(12.8 + shift, 1) in tenths of levels."""
    levels = 128 + 10 * (shift + rng.standard_normal((n, 2, 2, 1)))
    return Images(np.clip(np.round(levels), 0, 255).astype(np.uint8))


def compare(samples: Images, reference: Images, features: np.ndarray) -> Comparison:
    return Comparison(samples, reference, None, Flat(), None, (), 0, "test", features)


@pytest.fixture(scope="module")
def reference() -> tuple[Images, np.ndarray]:
    images = draw(0.0, np.random.default_rng(0), n=2000)
    return images, Flat().features(images.images)


def test_nothing_between_a_set_and_itself(reference: Any):
    made = compare(draw(0.3, np.random.default_rng(1)), *reference)
    found = paired_differences(made, made, ["fd", "coverage", "vendi"])
    assert set(found) == {"fd", "coverage"}  # vendi is not among the paired ones
    for record in found.values():
        assert (record.value, record.low, record.high) == (0, 0, 0)


@pytest.mark.parametrize("count", [90, 200])
def test_leaving_groups_out_at_once_is_leaving_them_out_one_by_one(reference: Any, count: int):
    images, features = reference
    known = (Images(images.images[:count]), features[:count])
    made = compare(draw(0.3, np.random.default_rng(5), 130), *known)
    parts = groups(130, 0, "some")
    names = [name for name in PAIRED if name != "label_accuracy"]
    found = leave_out(names, made, parts)
    for name in names:
        wanted = [value_of(name, made.without(part)) for part in parts]
        assert found[name] == pytest.approx(wanted, rel=1e-9), name


def test_interval_holds_the_truth_as_often_as_it_says(reference: Any):
    # FD of N(s, I) to N(0, I) in 4 dimensions is 4 s^2, and equal biases cancel
    truth = 4 * (0.4**2 - 0.3**2)
    hits, rounds = 0, 60
    for i in range(rounds):
        rng = np.random.default_rng(100 + i)
        first, second = (compare(draw(shift, rng, 200), *reference) for shift in (0.4, 0.3))
        record = paired_differences(first, second, ["fd"])["fd"]
        target = truth + _reference_shift(reference[1])
        hits += record.low <= target <= record.high
    assert 52 <= hits <= 60  # 95 % of 60, four standard errors


def _reference_shift(features: np.ndarray) -> float:
    """What the mean of this reference, which is held fixed, does to the difference."""
    return float(-2 * (0.4 - 0.3) * features.mean(axis=0).sum())


def test_pairs_make_the_interval_narrow(reference: Any):
    rng = np.random.default_rng(3)
    first = draw(0.3, rng)
    nearly = Images(np.clip(first.images.astype(int) + 1, 0, 255).astype(np.uint8))
    other = draw(0.4, rng)
    one = compare(first, *reference)
    paired = paired_differences(one, compare(nearly, *reference), ["fd"])["fd"]
    apart = paired_differences(one, compare(other, *reference), ["fd"])["fd"]
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)


def test_unequal_numbers_and_other_references_are_refused(reference: Any):
    rng = np.random.default_rng(4)
    one = compare(draw(0.3, rng), *reference)
    with pytest.raises(UsageError, match="equal numbers"):
        paired_differences(one, compare(draw(0.3, rng, 300), *reference), ["fd"])
    other = draw(0.0, rng, 2000)
    with pytest.raises(UsageError, match="different references"):
        paired_differences(one, compare(draw(0.3, rng), other, reference[1]), ["fd"])
