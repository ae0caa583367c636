"""The models without a network that the benchmark compares with."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from undrift.likelihood import ValueGrid, histogram
from undrift.randomness import generator

F64 = torch.float64
PATH = Path(__file__).parents[2] / "benchmarks" / "baseline_likelihood.py"
GRID = ValueGrid(256)
ENDS = GRID.edges[0][1:]


@pytest.fixture(scope="module")
def baseline():
    made = importlib.util.module_from_spec(
        found := importlib.util.spec_from_file_location("baseline_likelihood", PATH)
    )
    found.loader.exec_module(made)
    return made


def parameters(*rows: tuple[float, float]) -> torch.Tensor:
    """One logistic (mean, scale) for each pixel."""
    mean, scale = torch.tensor(rows, dtype=F64).T[..., None]
    return torch.stack([torch.zeros_like(mean), mean, scale.log()])


def test_a_table_sums_to_one_and_its_gradients_are_numbers(baseline):
    wild = parameters((120, 9), (0, 1e-3), (-400, 3), (90.5, 1e3), (255, 0.3)).requires_grad_()
    table = baseline.logistic_table(ENDS, wild)
    assert bool(table.isfinite().all())
    torch.testing.assert_close(table.exp().sum(1), torch.ones(5, dtype=F64))
    table.sum().backward()
    assert bool(wild.grad.isfinite().all())
    share = baseline.with_uniform(table.detach(), 0.2)
    torch.testing.assert_close(share.exp().sum(1), torch.ones(5, dtype=F64))


def test_a_table_is_the_difference_of_two_distribution_functions(baseline):
    found = baseline.logistic_table(ENDS, parameters((120, 9)))[0].exp()
    cdf = torch.sigmoid((ENDS - 120) / 9)
    wanted = torch.cat([cdf[:1], cdf.diff(), 1 - cdf[-1:]])
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("components", [1, 3])
def test_a_fit_finds_the_law_and_a_constant_pixel(baseline, components):
    law = baseline.logistic_table(ENDS, parameters((40, 4), (40, 4), (180, 12))).exp()
    counts = 1e5 * torch.stack([law[0], (law[0] + law[2]) / 2, torch.eye(256, dtype=F64)[0]])
    if components == 1:
        counts = counts[[0, 0, 2]]
    table = baseline.fit_logistics(counts, GRID.values, ENDS, components, 300)
    share = counts / counts.sum(1, keepdim=True)
    divergence = (torch.special.xlogy(share, share) - share * table).sum(1)
    assert bool(table.isfinite().all())
    assert bool((divergence > -1e-12).all()) and float(divergence.max()) < 5e-3


def test_smoothing_is_chosen_where_it_helps_and_labels_choose_their_table(baseline):
    noise = generator(0, "levels")
    dark, light = (torch.randint(low, low + 40, (400, 3), generator=noise) for low in (0, 90))
    images = torch.cat([dark, light]).numpy()
    labels = np.repeat([0, 1], 400)
    counts = torch.stack([histogram.counted(images[labels == k], 256) for k in (0, 1)])
    assert counts.shape == (2, 3, 256) and float(counts.sum()) == images.size
    given, pseudo = histogram.smoothed(counts, images, labels)
    assert pseudo == min(histogram.PSEUDO_COUNTS)  # of the images that were counted
    both = (images, labels)
    told = histogram.histogram_bits(both, both, both, 2, 256)
    nats = histogram.log_likelihood(given, images, labels)
    assert told == pytest.approx(-float(nats.mean()) / (3 * math.log(2)))
    whole, _ = histogram.smoothed(counts.sum(0), images)
    gain = histogram.log_likelihood(given, images, labels) - histogram.log_likelihood(whole, images)
    assert float(gain.mean()) / 3 == pytest.approx(math.log(2), rel=0.1)
    _, other = histogram.smoothed(counts.sum(0), 255 - images)
    assert other > pseudo
    table, share = baseline.widened(
        baseline.logistic_table(ENDS, parameters(*[(20, 2)] * 3)), images
    )
    assert share == max(baseline.UNIFORM_SHARES)
    assert bool(histogram.log_likelihood(table, images).isfinite().all())
