"""Copies are named, real images are not; C_T and authenticity on the cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import betabinom, binom, mannwhitneyu, norm
from sklearn.datasets import load_digits
from tests.data.real import real

from undrift.data import load
from undrift.errors import UsageError
from undrift.metrics.memorization import (
    Memorization,
    assign_cells,
    authenticity,
    c_t,
    closest_pairs,
    memorized_share,
)
from undrift.metrics.nearest import Neighbours, nearest_features, nearest_training


def at(relative: np.ndarray) -> Neighbours:
    """Neighbours at these relative distances."""
    return Neighbours(np.arange(len(relative)), np.asarray(relative, float), np.ones(len(relative)))


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    images = np.round(load_digits().images * 255 / 16).astype(np.uint8)[..., None]
    return images[np.random.default_rng(0).permutation(len(images))]


def measure(samples: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> Memorization:
    return memorized_share(
        nearest_training(samples, training), nearest_training(held_out, training)
    )


def test_as_near_as_the_threshold_is_no_copy():
    floor = np.concatenate([[0.5, 0.5, 0.6], np.full(197, 0.9)])
    found = memorized_share(at(np.array([0.499, 0.5, 0.6, 0.0])), at(floor))
    assert found.threshold == 0.5
    assert (found.share.value, found.exact) == (0.5, 1)
    assert found.held_out is not None and found.held_out.value == 2 / 200  # by each other


def test_the_threshold_leaves_one_percent_of_held_out_images_under_it():
    floor = np.random.default_rng(1).random(700)
    found = memorized_share(at(np.linspace(0, 1, 50)), at(floor))
    assert found.threshold == np.sort(floor)[6]
    assert found.held_out is not None and found.held_out.value == 0.01  # each by the 699 others


@pytest.mark.parametrize(("n", "m"), [(30, 40), (500, 250), (2000, 3000)])
def test_p_value_is_the_beta_binomials(n: int, m: int):
    floor, rank = np.linspace(0.5, 1, m), -(-m // 100)
    for hits in (0, 1, 3, 20, n):
        samples = np.where(np.arange(n) < hits, 0.1, 1.0)
        found = memorized_share(at(samples), at(floor))
        wanted = betabinom.pmf(np.arange(hits, n + 1), n, rank, m - rank + 1).sum()
        assert found.p_value == pytest.approx(wanted, rel=1e-6, abs=1e-300)
        assert found.flagged == (wanted < 0.01)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(20, 30), (100, 1000), (1000, 100), (1000, 1000)])
def test_new_images_are_flagged_one_time_in_a_hundred(n: int, m: int, ties: bool):
    draws, flags = np.random.default_rng(n + m), 0
    for _ in range(600):
        made, real = draws.random(n), draws.random(m)
        if ties:
            made, real = np.round(made, 2), np.round(real, 2)
        flags += memorized_share(at(made), at(real)).flagged
    assert flags <= binom.ppf(0.9999, 600, 0.01)


def test_the_interval_spans_both_sources():
    # 40 of 1000 below the threshold; the held-out order statistics 4 and 17 bound the quantile
    floor = np.sort(np.random.default_rng(2).random(1000))
    made = np.linspace(0, 1, 1000)
    found = memorized_share(at(made), at(floor))
    few, many = (binom.ppf(level, 1000, 0.01) for level in (0.025, 0.975))
    below = [(made < floor[int(rank)]).mean() for rank in (few - 1, many)]
    assert found.share.low < below[0] <= found.share.value <= below[1] < found.share.high
    alone = memorized_share(at(made), at(np.concatenate([np.full(60, floor[9]), floor[60:]])))
    assert alone.share.high < found.share.high


def test_new_digits_pass_and_a_tenth_of_copies_is_named(digits: np.ndarray):
    training, held_out, fresh = digits[:800], digits[800:1300], digits[1300:]
    assert not measure(fresh, held_out, training).flagged
    copied = fresh.copy()
    copied[:49] = training[100:149]
    found = measure(copied, held_out, training)
    assert found.flagged and found.exact == 49
    assert found.share.low > 0.05
    pairs = closest_pairs(nearest_training(copied, training), 49)
    assert sorted((pair.sample, pair.training) for pair in pairs) == [
        (i, i + 100) for i in range(49)
    ]
    assert all(pair.distance == pair.relative == 0 for pair in pairs)


def test_faint_copies_are_named_and_few_samples_suffice(digits: np.ndarray):
    training, held_out, fresh = digits[:800], digits[800:1300], digits[1300:]
    noise = np.random.default_rng(3).normal(0, 4, fresh[:10].shape)
    faint = np.clip(training[:10] + noise, 0, 255).astype(np.uint8)
    few = np.concatenate([faint, fresh[:90]])
    found = measure(few, held_out, training)
    assert found.flagged and found.exact == 0
    assert not measure(fresh[:100], held_out, training).flagged
    everything = measure(training[:50], held_out, training)
    assert everything.share.value == everything.share.high == 1.0


def test_a_choice_of_classes_is_no_copying():
    # one class lies dense, one loose: in plain distances the dense one would look copied
    draws = np.random.default_rng(4)
    scale = np.repeat([0.2, 1.0], 1500)[:, None]
    x = scale * draws.normal(size=(3000, 6)) + np.repeat([0.0, 50.0], 1500)[:, None]
    training, held_out, fresh = x[::3], x[1::3], x[2::3]
    floor = nearest_features(held_out, training)
    found = memorized_share(nearest_features(fresh[:500], training), floor)
    assert not found.flagged and found.share.value < 0.03
    plain = np.quantile(floor.distances, 0.01)
    assert (nearest_features(fresh[:500], training).distances < plain).mean() > 0.012


def test_closest_pairs_are_the_closest_in_order():
    found = Neighbours(np.array([7, 8, 9, 7]), np.array([3.0, 1, 0, 2]), np.array([4.0, 5, 6, 1]))
    pairs = closest_pairs(found, 3)
    assert [pair.sample for pair in pairs] == [2, 1, 0]
    assert [pair.training for pair in pairs] == [9, 8, 7]
    assert [pair.relative for pair in pairs] == [0, 0.2, 0.75]
    assert len(closest_pairs(found, 99)) == 4
    assert closest_pairs(found, 4)[3].relative == 1


def test_c_t_of_one_cell_is_mann_whitneys_z():
    draws = np.random.default_rng(5)
    samples, held_out = draws.normal(0.2, 1, 80), draws.normal(0, 1, 120)
    found = c_t(samples, held_out)
    p = mannwhitneyu(samples, held_out, use_continuity=False, method="asymptotic").pvalue
    assert 2 * norm.sf(abs(found.value)) == pytest.approx(p, rel=1e-9)
    assert found.value > 0
    assert c_t(held_out, samples).value == pytest.approx(-found.value)
    assert c_t(samples, samples).value == pytest.approx(0, abs=1e-12)


def test_c_t_weighs_cells_by_held_out_images_and_leaves_small_ones_out():
    draws = np.random.default_rng(6)
    samples, held_out = draws.normal(size=200), draws.normal(size=300)
    mine, theirs = np.repeat([0, 1, 2], [100, 90, 10]), np.repeat([0, 1, 2], [60, 200, 40])
    first = c_t(samples[mine == 0], held_out[theirs == 0]).value
    second = c_t(samples[mine == 1], held_out[theirs == 1]).value
    found = c_t(samples, held_out, mine, theirs)
    assert found.value == pytest.approx((60 * first + 200 * second) / 260)
    assert "2 of 3 cells" in found.method


def test_fixtures_of_c_t_and_authenticity():
    # new draws near 0 and 50-60 %; copies far below 0 and 0 %; an inflated model far above 0
    draws, size = np.random.default_rng(7), 8
    training, held_out, fresh = (draws.normal(size=(1000, size)) for _ in range(3))
    cells = assign_cells(training, held_out, seed=0)[1]
    floor = nearest_features(held_out, training)
    found = {}
    for name, samples in (
        ("new", fresh),
        ("copies", training[draws.permutation(1000)]),
        ("wide", 1.6 * fresh),
    ):
        near = nearest_features(samples, training)
        own = nearest_features(training[near.indices], training, own_rows=near.indices).distances
        mine = assign_cells(training, samples, seed=0)[1]
        found[name] = (
            c_t(near.distances, floor.distances, mine, cells),
            authenticity(near, own).value,
        )
    assert abs(found["new"][0].value) < 3
    assert 0.5 < found["new"][1] < 0.65
    assert found["copies"][0].high < -15
    assert found["copies"][1] == 0
    assert found["wide"][0].low > 8
    assert found["wide"][1] > 0.75


def test_as_far_as_the_next_training_row_is_not_authentic():
    found = Neighbours(np.zeros(4, int), np.array([1.0, 2.0, 3.0, 4.0]))
    assert authenticity(found, np.array([1.0, 1.0, 5.0, 3.9])).value == 0.5


def test_cells_are_the_seeds_and_part_the_clusters():
    draws = np.random.default_rng(8)
    centres = np.repeat([[0.0, 0], [9, 0], [0, 9]], 40, axis=0)
    training = centres + draws.normal(size=(120, 2))
    found, other = assign_cells(training, centres[::40], cells=3, seed=1)
    assert (found == np.repeat(other, 40)).all()
    assert len(set(other.tolist())) == 3
    np.testing.assert_array_equal(found, assign_cells(training, cells=3, seed=1)[0])
    assert assign_cells(np.zeros((9, 2)), cells=3)[0].tolist() == [0] * 9


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UsageError, match="spacing"):
        memorized_share(Neighbours(np.zeros(3, int), np.ones(3)), at(np.ones(3)))
    with pytest.raises(UsageError, match="some of each"):
        memorized_share(at(np.ones(3)), at(np.ones(0)))
    with pytest.raises(UsageError, match="at least 1"):
        closest_pairs(at(np.ones(3)), 0)
    with pytest.raises(UsageError, match="one of each per sample"):
        authenticity(at(np.ones(3)), np.ones(4))
    with pytest.raises(UsageError, match="one cell per distance"):
        c_t(np.ones(30), np.ones(30), np.zeros(29, int))
    with pytest.raises(UsageError, match="fewer cells"):
        c_t(np.ones(30), np.ones(19))
    with pytest.raises(UsageError, match="5 cells of 4"):
        assign_cells(np.zeros((4, 2)), cells=5)


@pytest.mark.slow
def test_only_copies_are_flagged_among_changes_of_real_clothes():
    data = load(real("fashion_mnist"))
    assert data.labels is not None
    training = data.images[data.splits["train"][:4_000]]
    order = data.splits["test"][np.random.default_rng(0).permutation(10_000)]
    held_out, fresh = data.images[order[:2000]], data.images[order[2000:4000]]
    labels, draws = data.labels[order[2000:4000]], np.random.default_rng(1)
    floor = nearest_training(held_out, training)
    rows = {"new": fresh, "half": fresh[(labels != 1) | (np.arange(2000) % 2 == 0)]}
    for kept in ((0, 1, 2, 3, 4), (1, 5, 7, 8, 9)):
        rows[f"classes {kept}"] = fresh[np.isin(labels, kept)]
    for amount in (10, 40):
        noisy = fresh + draws.normal(0, amount, fresh.shape)
        rows[f"noise {amount}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    for width in (0.5, 1.5):
        rows[f"blur {width}"] = gaussian_filter(fresh, (0, width, width, 0))
    for name, samples in rows.items():
        found = memorized_share(nearest_training(samples, training), floor)
        assert not found.flagged, name
        assert found.share.value < 0.02, name
    copied = fresh.copy()
    copied[::10] = training[:200]
    found = memorized_share(nearest_training(copied, training), floor)
    assert found.flagged
    assert found.share.low > 0.07
