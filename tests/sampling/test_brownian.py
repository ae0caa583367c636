"""Brownian paths: exact in law, and functions of (seed, image, log-SNR) alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, VPCosine
from undrift.errors import UsageError
from undrift.sampling import BrownianPaths, ImageNoise, brownian
from undrift.sampling.brownian import tick

SHAPE = (1, 4, 4)
INFINITY = math.inf
POINTS = (0, 1, 3, 64, 4097, 2**18, 333_333, 2**19, 777_777, 2**20 - 1, 2**20)


def variances_are_exact(module):
    """Whether the sum (2) has Brownian motion's covariance min(tau, tau') on the lattice."""
    for one, other in itertools.product(POINTS, repeat=2):
        at_one, at_other = module._tents(one), module._tents(other)
        made = sum(at_one[node] * at_other.get(node, 0.0) for node in at_one)
        if abs(made - min(one, other) / 2**20) > 1e-12:
            return False
    return True


def test_the_covariance_is_brownian_motions():
    assert variances_are_exact(brownian)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 ** (-level / 2)", "2 ** (-level)"),
        ("min(rest, width - rest)", "rest"),
        ("(1 << level) + k", "(1 << level)"),  # all nodes of a level share one number
        ("range(_DEPTH)", "range(_DEPTH - 8)"),  # a truncated sum
    ],
)
def test_a_slip_in_the_sum_spoils_the_covariance(old, new):
    assert not variances_are_exact(mutated(brownian, old, new))


def test_increments_are_standard_and_independent():
    paths = BrownianPaths(3, range(4))
    cuts = (-INFINITY, -6.0, -0.5, -0.4, 3.0, INFINITY)
    drawn = [paths.increment(a, b, (5_000,)).double() for a, b in itertools.pairwise(cuts)]
    count = drawn[0].numel()
    for z in drawn:
        assert abs(float(z.mean())) < 4 / count**0.5
        assert abs(float(z.var()) - 1) < 4 * (2 / count) ** 0.5
    for one, other in itertools.combinations(drawn, 2):
        assert abs(float((one * other).mean())) < 4 / count**0.5


@pytest.mark.parametrize("parts", [2, 7, 300])
def test_finer_grids_follow_the_same_path(parts):
    """Increments over the parts of a stretch, weighted by their lengths, are the whole's."""
    paths, (low, high) = BrownianPaths(5, [4, 0]), (-7.0, 9.0)
    cuts = torch.linspace(low, high, parts + 1).tolist()
    total = torch.zeros(2, *SHAPE, dtype=torch.float64)
    for a, b in itertools.pairwise(cuts):
        total += math.sqrt(tick(b) - tick(a)) * paths.increment(a, b, SHAPE)
    whole = math.sqrt(tick(high) - tick(low)) * paths.increment(low, high, SHAPE)
    torch.testing.assert_close(total, whole.double(), rtol=0, atol=2e-6 * 1024)


def test_a_path_does_not_depend_on_the_batch():
    whole = BrownianPaths(7, range(8)).increment(-1.0, 0.3, SHAPE)
    for rows in ([3], [7, 0], range(2, 5)):
        assert torch.equal(BrownianPaths(7, rows).increment(-1.0, 0.3, SHAPE), whole[list(rows)])


def test_drawing_in_blocks_changes_nothing(monkeypatch):
    paths = BrownianPaths(7, range(3))
    whole = paths.increment(-1.0, 0.3, SHAPE)
    monkeypatch.setattr(brownian, "_BLOCK", 100)
    assert torch.equal(BrownianPaths(7, range(3)).increment(-1.0, 0.3, SHAPE), whole)


@pytest.mark.parametrize("kept", [brownian._KEPT, 500, 0])
def test_what_is_kept_from_one_stretch_to_the_next_changes_nothing_but_the_cost(kept, monkeypatch):
    """Forward, overlapping, backward, and between shapes."""
    monkeypatch.setattr(brownian, "_KEPT", kept)
    drawn, real = [], brownian.normals

    def counted(keys, count):
        drawn.append(keys.numel())
        return real(keys, count)

    monkeypatch.setattr(brownian, "normals", counted)
    cuts = torch.linspace(-7, 9, 41).tolist()
    stretches = [*itertools.pairwise(cuts), (-3.0, 4.0), (-6.9, -6.8)]
    walking = BrownianPaths(5, [4, 0])
    made = [walking.increment(*ends, SHAPE) for ends in stretches]
    cost = sum(drawn)
    drawn.clear()
    fresh = [BrownianPaths(5, [4, 0]).increment(*ends, SHAPE) for ends in stretches]
    for one, other in zip(made, fresh, strict=True):
        assert torch.equal(one, other)
    assert cost < (0.6 if kept > 500 else 1.0) * sum(drawn)
    other_shape = walking.increment(*stretches[-1], (3,))
    assert torch.equal(other_shape, BrownianPaths(5, [4, 0]).increment(*stretches[-1], (3,)))


def test_every_part_of_the_name_counts():
    draws = [
        BrownianPaths(seed, [image]).increment(*stretch, SHAPE)
        for seed, image, stretch in itertools.product(
            (0, 1), (0, 1), ((-2.0, 1.0), (-2.0, 1.1), (-2.1, 1.0))
        )
    ]
    draws.append(ImageNoise(0, [0]).initial(SHAPE))
    for one, other in itertools.combinations(draws, 2):
        assert not torch.equal(one, other)


def test_the_ends_of_every_path_are_within_reach():
    assert tick(-INFINITY) == 0
    assert tick(INFINITY) == 2**20
    noise = ImageNoise(0, range(2))
    for schedule in (VPCosine(), Flow(), VE()):
        whole = noise.brownian(schedule(1.0), schedule(0.0), SHAPE)
        first = noise.brownian(schedule(1.0), schedule(0.5), SHAPE)
        last = noise.brownian(schedule(0.5), schedule(0.0), SHAPE)
        for z in (whole, first, last):
            assert torch.isfinite(z).all()
        assert not torch.equal(first, last)


def test_schedules_share_their_paths():
    """A path is a function of the log-SNR: the same noise levels meet the same noise."""
    drawn = []
    for schedule in (VPCosine(), Flow(), VE()):
        high, low = (schedule(schedule.time_at(value)) for value in (-3.0, 2.0))
        drawn.append(ImageNoise(0, [0]).brownian(high, low, SHAPE))
    for other in drawn[1:]:
        torch.testing.assert_close(other, drawn[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("stretch", [(0.0, 0.0), (0.0, 1e-6), (1.0, 0.0), (200.0, INFINITY)])
def test_a_stretch_finer_than_the_path_or_backward_is_refused(stretch):
    with pytest.raises(UsageError, match="backward or finer"):
        BrownianPaths(0, [0]).increment(*stretch, SHAPE)


def test_a_value_is_pinned():
    """Same seed, same image, next year: a change here breaks everybody's seeds."""
    made = BrownianPaths(0, [0]).increment(-1.0, 1.0, (4,))
    wanted = torch.tensor([[0.2974366, 0.7710606, 0.1086464, -0.5906071]])
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-6)
