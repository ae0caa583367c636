"""The extrapolated Frechet distance: less biased than any it was extrapolated from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from undrift.errors import UsageError
from undrift.metrics.blocks import BLOCKS, Blocks, Run
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_infinity import (
    _Extrapolated,
    _Line,
    extrapolated_distance,
    frechet_infinity,
)
from undrift.metrics.moments import Moments
from undrift.randomness import generator


def exact(size: int, mean: float = 0.0) -> Moments:
    """Moments of N(mean, I), known without error."""
    return Moments(10**6, np.full(size, mean), np.eye(size) * (10**6 - 1))


@pytest.mark.parametrize("reference_known", [True, False])
def test_bias_is_gone(reference_known: bool):
    draws, size, count = np.random.default_rng(0), 16, 400
    plain, extrapolated = [], []
    for _ in range(12):
        x, y = draws.normal(size=(count, size)), draws.normal(size=(count, size))
        reference = exact(size) if reference_known else y
        plain.append(frechet_distance(x, reference))
        extrapolated.append(frechet_infinity(x, reference, points=4).value)
    margin = 4 * np.std(extrapolated, ddof=1) / np.sqrt(12)
    bias = (2 * size / count + size * (size + 1) / (2 * count)) / (2 if reference_known else 1)
    assert np.mean(plain) == pytest.approx(bias, rel=0.15)
    assert abs(np.mean(extrapolated)) < margin + 0.05 * bias
    assert margin < 0.35 * bias


def test_a_shift_is_found_beyond_the_bias():
    draws = np.random.default_rng(1)
    x, y = 0.5 + draws.normal(size=(2000, 8)), draws.normal(size=(2000, 8))
    found = frechet_infinity(x, y)
    assert found.low < 8 * 0.25 < found.high
    assert found.value == pytest.approx(8 * 0.25, abs=0.4)
    assert "reference redrawn" in found.method
    assert "reference fixed" in frechet_infinity(x, exact(8), points=2).method


def test_blocks_give_the_moments_of_their_rows():
    rows = 100 + np.random.default_rng(2).normal(size=(207, 3))
    blocks = Blocks.dealt(rows, 0, "samples")
    mean, covariance = blocks.of([Run(0, BLOCKS)])
    np.testing.assert_allclose(mean[0], rows.mean(0), rtol=1e-13)
    np.testing.assert_allclose(covariance[0], np.cov(rows.T), atol=1e-12)
    assert blocks.counts[-1] == 207
    order = torch.randperm(207, generator=generator(0, "frechet infinity", "samples")).numpy()
    parts = np.array_split(order, 20)
    runs = [Run(0, 3), Run(3, 1), Run(18, 4)]  # the last goes on from the first block
    means, covariances = blocks.of(runs)
    for i, run in enumerate(([0, 1, 2], [3], [18, 19, 0, 1])):
        assert runs[i].blocks == run
        part = np.concatenate([parts[b] for b in run])
        np.testing.assert_allclose(means[i], rows[part].mean(0), rtol=1e-13)
        np.testing.assert_allclose(covariances[i], np.cov(rows[part].T), atol=1e-12)


def test_lines_go_through_what_is_on_them():
    line = _Line.through(0.2, 15)
    sizes = np.unique(line.lengths)
    assert (sizes[0], sizes[-1], len(sizes)) == (4, 20, 15)
    assert line.intercept(0.7 + 3.0 / line.lengths) == pytest.approx(0.7)
    everywhere = {block for run in line.runs if run.length == 4 for block in run.blocks}
    assert everywhere == set(range(20))  # small sets too use every sample


def test_the_more_features_the_fewer_sizes():
    rows = np.random.default_rng(5).normal(size=(2060, 513))
    for size, sizes in ((513, 5), (3, 15)):
        made = _Extrapolated.of(rows[:, :size], exact(size), 0)
        assert len(np.unique(made.line.lengths)) == sizes


def test_depends_on_the_seed_only_through_the_dealing():
    draws = np.random.default_rng(3)
    x, y = draws.normal(size=(100, 2)), draws.normal(size=(100, 2))
    first = frechet_infinity(x, y, seed=5, points=3)
    assert first == frechet_infinity(x, y, seed=5, points=3)
    assert extrapolated_distance(x, y, seed=5) == frechet_infinity(x, y, seed=5).value
    assert first.value != frechet_infinity(x, y, seed=6, points=3).value


def test_what_cannot_be_extrapolated_is_refused():
    x = np.random.default_rng(4).normal(size=(100, 4))
    with pytest.raises(UsageError, match="too few to extrapolate"):
        frechet_infinity(np.zeros((100, 40)), exact(40))
    with pytest.raises(UsageError, match="39 reference images are too few"):
        frechet_infinity(x, x[:39])
    with pytest.raises(UsageError, match="one extractor"):
        frechet_infinity(x, exact(3))
    with pytest.raises(UsageError, match="1 points"):
        frechet_infinity(x, x, points=1)
    with pytest.raises(UsageError, match="NaN"):
        frechet_infinity(np.full((100, 4), np.nan), x)
