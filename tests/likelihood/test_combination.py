from __future__ import annotations

import math

import pytest
import torch
from tests.likelihood.worlds import standardised

from undrift.likelihood.combination import importance_bound, over_classes
from undrift.likelihood.dequantization import TruncatedNormalDequantization, UniformDequantization
from undrift.likelihood.reconstruction import Reconstruction, level_costs
from undrift.likelihood.values import ValueGrid
from undrift.randomness import generator

F64 = torch.float64


def quantiles(n: int) -> torch.Tensor:
    return (torch.arange(n, dtype=F64) + 0.5) / n


@pytest.mark.parametrize("kind", ["uniform", "truncated"])
@pytest.mark.parametrize("count", [4, 17, 256])
def test_a_dequantisation_is_a_density_on_its_bin(kind, count):
    grid = ValueGrid(count)
    law = UniformDequantization() if kind == "uniform" else TruncatedNormalDequantization(0.4)
    n = 4000
    for k in (0, 1, count - 1):
        index = torch.full((n, 1, 1, 1), k)
        made = law.draw(grid, index, quantiles(n).reshape(n, 1, 1, 1))
        v = made.pixels.flatten()
        lower, upper = (float(ends[k]) for ends in grid.edges)
        assert lower <= float(v.min()) and float(v.max()) <= upper
        # E_q [1 / q] is the width of the bin, for any density on it that is nowhere 0
        if kind == "uniform":
            assert float((-made.log_q).exp().mean()) == pytest.approx(upper - lower)
        # a histogram of the draws is the density
        middle = (v[1:] + v[:-1]) / 2
        empirical = 1 / (n * v.diff())
        stated = ((made.log_q[1:] + made.log_q[:-1]) / 2).exp()
        inner = slice(n // 100, -n // 100)
        torch.testing.assert_close(empirical[inner], stated[inner], rtol=0.02, atol=0)
        assert len(middle) == n - 1


def test_a_uniform_density_gives_uniform_bytes_eight_bits():
    """log p = -log 256 for every pixel: uniform numbers are its own law, and lose nothing."""
    grid, n = ValueGrid(256), 300
    index = torch.randint(0, 256, (n, 1, 2, 2), generator=generator(0, "bytes"))
    log_p = -4 * math.log(256)
    drawn = generator(1, "quantile")
    uniform = UniformDequantization().draw(grid, index, torch.rand(index.shape, generator=drawn))
    bits = -(log_p - uniform.log_q) / 4 / math.log(2)
    torch.testing.assert_close(bits, torch.full((n,), 8.0, dtype=F64), rtol=0, atol=1e-12)


def test_samples_close_the_gap_of_a_law_that_is_not_the_models():
    """Under a uniform density the truncated normal costs its negative entropy; K samples less."""
    grid, n, k = ValueGrid(256), 300, 32
    index = torch.randint(1, 255, (n, 1, 2, 2), generator=generator(0, "bytes"))
    drawn = generator(1, "quantile")
    log_p = -4 * math.log(256)
    law = TruncatedNormalDequantization(0.5)
    quantile = torch.rand((k, *index.shape), generator=drawn, dtype=F64)
    weights = torch.stack([log_p - law.draw(grid, index, row).log_q for row in quantile])
    # bins end one tau from their value: H = ln(sqrt(2 pi e) tau Z) - phi(1) / Z, Z = P(|z| < 1)
    inside = math.erf(math.sqrt(0.5))
    phi = math.exp(-0.5) / math.sqrt(2 * math.pi)
    entropy = math.log(math.sqrt(2 * math.pi * math.e) * 0.5 * inside) - phi / inside
    gap = weights + 4 * math.log(256)
    error = float(gap.std()) / math.sqrt(gap.numel())
    assert abs(float(gap.mean()) - 4 * entropy) < 4 * error
    # each weight is unbiased for the probability, 256^-4
    ratio = gap.exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(ratio.numel())
    # of the same draws, more at once are a tighter bound for every image: Jensen
    bits = [
        -torch.stack([importance_bound(part) for part in weights.split(size)]).mean(0)
        / (4 * math.log(2))
        for size in (1, 4, k)
    ]
    assert bool((bits[0] > bits[1]).all()) and bool((bits[1] > bits[2]).all())
    assert float(bits[2].mean()) == pytest.approx(8, abs=0.005)
    assert float(bits[0].mean()) > 8.01


def test_the_importance_bound_is_the_log_of_the_mean():
    weights = torch.tensor([[0.2, 1.0], [0.6, 3.0]], dtype=F64).log()
    torch.testing.assert_close(importance_bound(weights).exp(), torch.tensor([0.4, 2.0], dtype=F64))


def test_classes_are_summed_by_their_frequencies():
    given = torch.tensor([[0.2, 0.5], [0.6, 0.1], [0.9, 0.9]], dtype=F64)
    whole = over_classes(given.log(), torch.tensor([3.0, 1.0, 0.0]))
    wanted = torch.tensor([0.75 * 0.2 + 0.25 * 0.6, 0.75 * 0.5 + 0.25 * 0.1], dtype=F64)
    torch.testing.assert_close(whole.exp(), wanted)


def test_the_cost_of_a_level_against_sampling():
    values = torch.tensor([[0.0, 0.3, 0.7, 1.5]], dtype=F64)
    r, n = 0.2, 400_000
    eps = torch.randn((n, 4), generator=generator(2, "eps"), dtype=F64)
    u = values[0] + r * eps
    scores = -((u[..., None] - values[0]) / r).square() / 2
    sampled = scores.logsumexp(2) + eps.square() / 2
    cost = level_costs(values, r)[0]
    error = sampled.std(0) / math.sqrt(n)
    assert bool(((sampled.mean(0) - cost).abs() < 4 * error).all())


def test_little_noise_costs_nothing_and_much_costs_the_number_of_levels():
    grid, codec = ValueGrid(256), standardised(50.0)
    index = torch.randint(0, 256, (3, 1, 2, 2), generator=generator(0, "i"))
    spacing = grid.spacing(codec, 1)
    assert float(Reconstruction(grid, codec, 1, spacing / 6)(index).max()) / 4 < 0.01
    assert float(Reconstruction(grid, codec, 1, spacing / 20)(index).max()) < 1e-12
    blind = float(Reconstruction(grid, codec, 1, 1e4)(index).mean()) / 4
    assert blind == pytest.approx(math.log(256), rel=1e-3)
