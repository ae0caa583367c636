"""Solvers converge at the order they declare, on every schedule, alpha = 0 included.

A sampler that is only "close enough at N steps" may be wrong: a swapped level can make 16 steps
look better. The order of convergence is what a wrong coefficient cannot keep: mutants lose it.
"""

from __future__ import annotations

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated

from undrift.diffusion import Flow, VPLinear
from undrift.sampling import DDPM, DPMpp2M, Euler, Heun, integrate
from undrift.sampling.solvers import ddpm, dpmpp_2m, euler, heun

MARGIN = 0.2


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()], ids=lambda s: s.name)
def test_order_as_started(solver, schedule):
    assert order.as_started(solver, schedule) > solver.order_as_started - MARGIN


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
def test_order_of_the_rule_itself(schedule):
    assert order.primed(DPMpp2M(), schedule) > DPMpp2M.order - MARGIN


@pytest.mark.parametrize("solver", [Euler(), Heun(), DDPM()], ids=lambda s: s.name)
def test_solvers_without_memory_start_as_they_go_on(solver):
    assert solver.start(torch.zeros(1), VPLinear()) is None
    assert solver.order_as_started == solver.order


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_order_in_law(variance, schedule):
    assert order.in_law(DDPM(variance), schedule) > DDPM.order - MARGIN


@pytest.mark.parametrize(
    ("module", "name", "old", "new"),
    [
        (euler, "Euler", "level_s.alpha - shrink", "level_s.alpha + shrink"),  # sign
        (euler, "Euler", "level_s.sigma / level_t.sigma", "level_s.sigma / level_s.sigma"),
        (euler, "Euler", "shrink * level_t.alpha) * x0", "shrink * level_s.alpha) * x0"),
        (
            heun,
            "Heun",
            "x_s, level_s.t)\n        return",
            "x_s, level_t.t)\n        return",
        ),  # index
        (heun, "Heun", "(prediction.x0 + landed.x0) / 2", "landed.x0"),
        (heun, "Heun", "(prediction.x0 + landed.x0)", "(prediction.x0 - landed.x0)"),  # sign
        (dpmpp_2m, "DPMpp2M", "1 + lead), -gain * lead", "1 - lead), gain * lead"),  # history order
        (dpmpp_2m, "DPMpp2M", "(points[0].half_log_snr", "(point_s.half_log_snr"),
        (dpmpp_2m, "DPMpp2M", "if len(points) < 2", "if len(points) < 3"),  # never remembers
    ],
)
def test_mutants_lose_their_order(module, name, old, new):
    mutant = getattr(mutated(module, old, new), name)()
    steps = order.STEPS[:2]
    genuine = getattr(module, name)()
    schedule = VPLinear()
    assert order.as_started(genuine, schedule, steps) > genuine.order - MARGIN
    assert not order.as_started(mutant, schedule, steps) > genuine.order - MARGIN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('law.sample(draw("ancestral"))', 'law.sample(-2 * draw("ancestral"))'),
        ('law.sample(draw("ancestral"))', "law.mean"),
        ("x, prediction.x0, level_t", "x, x, level_t"),
        ("posterior(x, prediction.x0,", "posterior(prediction.x0, x,"),
    ],
)
def test_ddpm_mutants_lose_their_order(old, new):
    mutant = mutated(ddpm, old, new).DDPM()
    assert not order.in_law(mutant, VPLinear(), order.STEPS[:2]) > DDPM.order - MARGIN


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M(), DDPM()], ids=lambda s: s.name)
def test_schedules_with_the_same_noise_levels_end_in_the_same_point(solver):
    """All paths are one equation in (x / alpha, sigma / alpha): only rounding may differ."""
    ratio = torch.logspace(1.5, -2, 13, dtype=torch.float64)
    y = 20 * torch.linspace(-1, 1, 9, dtype=torch.float64)
    ends = []
    for schedule in order.SCHEDULES:
        times = schedule.time_at(-2 * ratio.log())
        x = integrate(
            order.MIXTURE.denoiser(schedule),
            schedule(times[0]).alpha * y,
            times,
            solver,
            schedule=schedule,
            noise=FixedNoise(),
        )
        ends.append(x / schedule(times[-1]).alpha)
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=1e-9)


def test_another_grid_ends_in_another_point():
    """The comparison above can fail."""
    schedule, y = Flow(), torch.linspace(-1, 1, 9, dtype=torch.float64)
    ends = []
    for count in (13, 14):
        times = schedule.time_at(-2 * torch.logspace(1.5, -2, count, dtype=torch.float64).log())
        denoise = order.MIXTURE.denoiser(schedule)
        ends.append(integrate(denoise, y, times, Euler(), schedule=schedule))
    assert (ends[0] - ends[1]).abs().max() > 1e-3


class FixedNoise:
    """The same numbers for every schedule."""

    def step(self, k, shape, purpose):
        return torch.linspace(-1, 1, 9, dtype=torch.float64).roll(k)
