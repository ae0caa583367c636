"""A table does what the rule did that it was read off; anything else is refused."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated
from tests.sampling.learned.mixture import mixture, noise

from undrift.diffusion import VE, Flow, MixtureDenoiser, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.sampling import (
    DDPM,
    SAMPLERS,
    DPMpp2M,
    Euler,
    Heun,
    integrate,
    karras,
    log_snr,
    solver,
    uniform,
)
from undrift.sampling.learned import Table, Tabled, follow, tabled, tables, tabulate

SCHEDULES = [VE(), VPLinear(), VPCosine(), Flow()]


def both(module, rule, schedule, times):
    denoise = MixtureDenoiser(mixture(), schedule)
    x = noise(range(5)) * schedule(times[0]).sigma
    wanted = integrate(denoise, x, times, rule, schedule=schedule)
    made = follow(denoise, x, module.tabulate(rule, schedule, times), schedule)
    return made, wanted


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
@pytest.mark.parametrize("make", [karras, log_snr, uniform], ids=lambda m: m.__name__)
@pytest.mark.parametrize("rule", [Euler(), DPMpp2M()], ids=lambda r: r.name)
def test_the_table_of_a_rule_is_the_rule(rule, make, schedule):
    """Uniform grids begin at alpha = 0 on two of the schedules."""
    made, wanted = both(tabled, rule, schedule, make(schedule, 7))
    torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-12)


def test_a_table_that_forgets_the_state_is_not():
    mutant = mutated(tabled, "rows[1:] - shrink[:, None] * rows[:-1]", "rows[1:] - rows[:-1]")
    with pytest.raises(UsageError, match="not of the form"):
        mutant.tabulate(DPMpp2M(), VE(), karras(VE(), 5))


def test_every_rule_with_a_table_keeps_its_word():
    rules = {name: solver(name) for name in SAMPLERS}
    times = karras(VE(), 8)
    found = tables(rules, VE(), times)
    assert {"euler", "dpmpp_2m"} <= found.keys()
    assert not {"heun", "ddpm"} & found.keys()
    for name in found:
        made, wanted = both(tabled, rules[name], VE(), times)
        torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-9)


def test_a_table_runs_in_the_common_loop():
    schedule, times = Flow(), karras(Flow(), 6)
    denoise = MixtureDenoiser(mixture(), schedule)
    x = noise(range(3)) * schedule(times[0]).sigma
    table = tabulate(DPMpp2M(), schedule, times)
    calls = []

    def counting(x, t):
        calls.append(float(t))
        return denoise(x, t)

    made = integrate(counting, x, table.times, Tabled(table), schedule=schedule)
    torch.testing.assert_close(made, follow(denoise, x, table, schedule), rtol=0, atol=0)
    assert calls == times[:-1].tolist()
    with pytest.raises(UsageError, match="a grid of its own"):
        integrate(denoise, x, uniform(schedule, 6), Tabled(table), schedule=schedule)


def test_model_times_are_passed_to_the_denoiser():
    table = tabulate(Euler(), VE(), karras(VE(), 3))
    moved = Table(table.times, table.model_times * 0.9, table.coefficients)
    heard = []

    def denoise(x, t):
        heard.append(float(t))
        return MixtureDenoiser(mixture(), VE())(x, t)

    follow(denoise, noise(range(1)), moved, VE())
    assert heard == moved.model_times.tolist()


@pytest.mark.parametrize("rule", [Heun(), DDPM()], ids=lambda r: r.name)
def test_rules_without_a_table_are_refused(rule):
    with pytest.raises(UsageError, match="only deterministic rules of one evaluation"):
        tabulate(rule, VE(), karras(VE(), 3))


def numbers(**changed):
    parts = {
        "times": torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64),
        "model_times": torch.tensor([1.0, 0.5], dtype=torch.float64),
        "coefficients": torch.eye(2, dtype=torch.float64),
    }
    parts |= {
        name: torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value
        for name, value in changed.items()
    }
    return Table(**parts)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"times": [1.0, 0.0]}, "of shapes"),
        ({"model_times": [1.0]}, "of shapes"),
        ({"coefficients": [[1.0]]}, "of shapes"),
        ({"times": [1.0, 1.0, 0.0]}, "must fall"),
        ({"times": [1.5, 1.0, 0.0]}, "must fall from 1"),
        ({"times": [1.0, 0.5, 0.1]}, "to exactly 0"),
        ({"model_times": [1.0, 0.0]}, "above 0"),
        ({"model_times": [1.1, 0.5]}, "up to 1"),
        ({"model_times": [1.0, float("nan")]}, "finite"),
        ({"model_times": torch.tensor([1.0, 0.5])}, "float64"),
        ({"coefficients": [[1.0, 1.0], [0.0, 1.0]]}, "of a later one"),
    ],
)
def test_numbers_that_are_no_sampler_are_refused(changed, message):
    assert numbers().steps == 2
    with pytest.raises(UsageError, match=message):
        numbers(**changed)
