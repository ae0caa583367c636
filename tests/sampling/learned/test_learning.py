"""Regression and refinement bring the error down, and whatever they try is a sampler."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated
from tests.sampling.learned.mixture import SPREAD, cases, joined

from undrift.diffusion import VE, Flow, VPCosine
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import DPMpp2M, karras, uniform
from undrift.sampling.learned import (
    Table,
    errors,
    refine,
    refinement,
    regress,
    regression,
    shortest_path,
    step_costs,
    tabulate,
)

SCHEDULE = VE()
STEPS = 5


@pytest.fixture(scope="module")
def some():
    return (
        cases(SCHEDULE, range(48)),
        cases(SCHEDULE, range(48, 72)),
        cases(SCHEDULE, range(72, 120)),
    )


@pytest.fixture(scope="module")
def on_the_path(some):
    """The table of DPM-Solver++(2M) on the grid found, and the cases on its nodes."""
    path = joined(some[0])
    nodes = shortest_path(step_costs(path, SCHEDULE, SPREAD), STEPS)
    table = tabulate(DPMpp2M(), SCHEDULE, path.times[nodes])
    return table, [type(one)(one.denoise, one.path.at(nodes)) for one in some[0]]


def error(cases, table):
    return float(errors(cases, table, SCHEDULE).mean())


def test_regression_lowers_the_error_of_other_images(some, on_the_path):
    table, fit = on_the_path
    found = regress(fit, table, SCHEDULE)
    assert torch.equal(found.times, table.times)
    assert error(some[2], found) < 0.8 * error(some[2], table)


def test_regression_is_the_least_squares_solution(some, on_the_path, monkeypatch):
    """Without a ridge, no step of the last coefficients lowers the mean square."""
    monkeypatch.setattr(regression, "_RIDGE", 0.0)
    monkeypatch.setattr(regression, "_FLOOR", 0.0)
    table, fit = on_the_path
    found = regress(fit, table, SCHEDULE)

    def square(changed):
        return float(errors(fit, changed, SCHEDULE).square().mean())

    for j in range(STEPS):
        for by in (-1e-3, 1e-3):
            moved = found.coefficients.clone()
            moved[-1, j] += by
            assert square(Table(found.times, found.model_times, moved)) > square(found)


def test_refinement_lowers_it_further(some, on_the_path):
    table, fit = on_the_path
    started = regress(fit, table, SCHEDULE)
    told = []
    found = refine(
        some[0], some[1], started, SCHEDULE, SPREAD, rounds=4, on_round=lambda *a: told.append(a)
    )
    assert (found.table.times.diff() < 0).all() and found.table.times[-1] == 0
    assert found.error == pytest.approx(error(some[1], found.table))
    assert found.error == min(told, key=lambda round: round[2])[2]
    assert error(some[2], found.table) < 0.9 * error(some[2], started)
    assert not found.table.times.requires_grad


def test_refinement_from_a_bad_grid(some):
    """Most of its steps where nothing happens yet."""
    bad = tabulate(DPMpp2M(), SCHEDULE, karras(SCHEDULE, STEPS, rho=2, sigma_min=0.2))
    found = refine(some[0], some[1], bad, SCHEDULE, SPREAD, rounds=6)
    assert error(some[2], found.table) < 0.6 * error(some[2], bad)


def test_refinement_keeps_what_it_cannot_better(some, on_the_path, monkeypatch):
    """With its sign turned, learning leads away: the table it began with is handed back."""
    table, _ = on_the_path
    real = refinement._errors
    monkeypatch.setattr(
        refinement, "errors", lambda cases, table, schedule: errors_of(cases, table)
    )

    def errors_of(cases, table):
        with torch.no_grad():
            return torch.cat([real(one, table, SCHEDULE) for one in cases])

    monkeypatch.setattr(refinement, "_errors", lambda *given: -real(*given).clamp(max=3.0))
    found = refine(some[0], some[1], table, SCHEDULE, SPREAD, rounds=3)
    assert found.table is table and found.rounds == 0


@pytest.mark.parametrize("schedule", [VE(), VPCosine(), Flow()], ids=lambda s: s.kind)
@pytest.mark.parametrize("make", [karras, uniform], ids=lambda m: m.__name__)
def test_every_place_in_the_space_is_a_sampler(schedule, make):
    table = tabulate(DPMpp2M(), schedule, make(schedule, 4))
    some = cases(schedule, range(4))
    space = refinement.Coordinates.around(some, table, schedule, SPREAD)
    zero = torch.zeros(space.count, dtype=torch.float64)
    for part in ("times", "model_times", "coefficients"):
        torch.testing.assert_close(
            getattr(space.at(zero), part), getattr(table, part), rtol=1e-9, atol=1e-12
        )
    for seed in range(20):
        learned = torch.randn(space.count, generator=generator(seed), dtype=torch.float64)
        moved = space.at(learned)
        assert moved.steps == 4
        assert not torch.allclose(moved.times, table.times)


def test_gradients_are_those_of_finite_differences(some):
    table = tabulate(DPMpp2M(), SCHEDULE, karras(SCHEDULE, 3, sigma_min=0.05))
    space = refinement.Coordinates.around(some[1], table, SCHEDULE, SPREAD)
    point = 0.1 * torch.randn(space.count, generator=generator(3), dtype=torch.float64)

    def loss(learned):
        return refinement._errors(some[1][0], space.at(learned), SCHEDULE).mean()

    point.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(point), point)
    for k in range(space.count):
        step = torch.zeros_like(point)
        step[k] = 1e-5
        slope = (loss(point + step) - loss(point - step)).detach() / 2e-5
        assert float(gradient[k]) == pytest.approx(float(slope), rel=1e-4, abs=1e-8)


def test_a_rising_grid_is_noticed():
    mutant = mutated(refinement, "moved = gap * torch.exp(u / 2)", "moved = gap * u")
    table = tabulate(DPMpp2M(), SCHEDULE, karras(SCHEDULE, 4))
    space = mutant.Coordinates.around(cases(SCHEDULE, range(4)), table, SCHEDULE, SPREAD)
    with pytest.raises(UsageError, match="must fall"):
        space.at(-torch.ones(space.count, dtype=torch.float64))
