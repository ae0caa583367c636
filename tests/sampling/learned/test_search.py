"""The shortest path is the shortest, and a step's length is the error that the step makes."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch
from tests.oracle.mutation import mutated
from tests.sampling.learned.mixture import NODES, SPREAD, cases, joined, mixture

from undrift.diffusion import VE, Flow, MixtureDenoiser
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import DPMpp2M, karras
from undrift.sampling.learned import (
    dynamic_programming,
    errors,
    shortest_path,
    step_costs,
    tabulate,
    trajectory,
)


def total(cost, path):
    """Cost of a path, edge by edge."""
    first = cost[0, path[0], path[1]]
    return float(first + sum(cost[h, i, j] for h, i, j in zip(path, path[1:], path[2:])))  # noqa: B905


def costs(seed, nodes=9):
    return torch.rand((nodes,) * 3, generator=generator(seed, "cost"), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8])
def test_no_other_path_is_shorter(seed, steps):
    cost = costs(seed)
    path = shortest_path(cost, steps)
    others = [[0, *inner, 8] for inner in combinations(range(1, 8), steps - 1)]
    assert path in others
    assert total(cost, path) == pytest.approx(min(total(cost, other) for other in others))


def test_a_search_that_mixes_up_the_nodes_misses_it():
    mutant = mutated(dynamic_programming, "paths.min(0)", "paths.min(1)")
    misses = 0
    for seed in range(5):
        cost = costs(seed)
        misses += total(cost, mutant.shortest_path(cost, 3)) > total(cost, shortest_path(cost, 3))
    assert misses


@pytest.mark.parametrize("steps", [0, 9])
def test_paths_that_cannot_be_are_refused(steps):
    with pytest.raises(UsageError, match="allows 1 to 8"):
        shortest_path(costs(0), steps)


@pytest.mark.parametrize("schedule", [VE(), Flow()], ids=lambda s: s.kind)
def test_a_fine_solution_is_kept_at_its_nodes(schedule):
    (one,) = cases(schedule, range(4))
    path = one.path
    times = karras(schedule, 120, sigma_min=0.01)
    assert torch.equal(path.times, times[list(NODES)])
    assert len(path.states) == len(NODES) and len(path.denoised) == len(NODES) - 1
    exact = MixtureDenoiser(mixture(), schedule)
    for k in (0, 7, len(NODES) - 2):
        found = exact(path.states[k], path.times[k]).x0
        torch.testing.assert_close(path.denoised[k], found, rtol=1e-9, atol=1e-9)
    nodes = [0, 5, len(NODES) - 1]
    assert torch.equal(path.at(nodes).states[1], path.states[5])
    assert torch.equal(path.at(nodes).denoised[1], path.denoised[5])


def differences(module, schedule):
    """Costs by the quadratic form, beside the errors of steps that DPMpp2M really takes."""
    some = cases(schedule, range(6))
    path = joined(some)
    cost = module.step_costs(path, schedule, SPREAD)
    levels = [schedule(t) for t in path.times]
    rule, pairs = DPMpp2M(), []
    for h, i, j in [(0, 0, 4), (0, 3, 8), (5, 9, 11), (12, 20, 30), (20, 30, len(NODES) - 1)]:
        memory = rule.start(path.states[h], schedule)
        if h < i:
            _, memory, _ = rule.step(
                some[0].denoise, path.states[h], levels[h], levels[i], memory, None
            )
        x_s, _, _ = rule.step(some[0].denoise, path.states[i], levels[i], levels[j], memory, None)
        rate = SPREAD / (levels[j].alpha ** 2 * SPREAD**2 + levels[j].sigma ** 2) ** 0.5
        missed = (x_s - path.states[j]).flatten(1).square().mean(1).sqrt().mean()
        pairs.append((float(cost[h, i, j]), float(rate * missed)))
    return pairs


@pytest.mark.parametrize("schedule", [VE(), Flow()], ids=lambda s: s.kind)
def test_the_length_of_a_step_is_its_error(schedule):
    for made, wanted in differences(trajectory, schedule):
        assert made == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(2 * (half[i] - half[before]))", "(half[i] - half[before])"),
        ("-inner[:, j] + shrink * inner[:, i]", "-inner[:, j] + inner[:, i]"),
        ("return spread / torch.sqrt", "return 1 / torch.sqrt"),
    ],
)
def test_wrong_lengths_are_noticed(old, new):
    schedule = VE()
    if "spread" in old:
        level = schedule(0.1)
        assert mutated(trajectory, old, new).reach(level, 2.0) != trajectory.reach(level, 2.0)
        return
    pairs = differences(mutated(trajectory, old, new), schedule)
    assert any(abs(made - wanted) > 1e-3 * wanted for made, wanted in pairs)


def test_the_grid_found_beats_the_usual_ones():
    schedule = VE()
    fit, held_out = cases(schedule, range(24)), cases(schedule, range(24, 48))
    path = joined(fit)
    cost = step_costs(path, schedule, SPREAD)
    for steps in (5, 8):
        nodes = shortest_path(cost, steps)
        assert nodes[0] == 0 and nodes[-1] == len(NODES) - 1
        assert all(i < j for i, j in pairwise(nodes))
        found = tabulate(DPMpp2M(), schedule, path.times[nodes])
        usual = tabulate(DPMpp2M(), schedule, karras(schedule, steps, sigma_min=0.01))
        assert float(errors(held_out, found, schedule).mean()) < 0.8 * float(
            errors(held_out, usual, schedule).mean()
        )
