"""Progressive distillation: grids that nest, and steps that end where two of the teacher's do."""

from __future__ import annotations

import pytest
import torch
from tests.distillation.test_reflow import NOISE, STD, teacher
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, VPCosine
from undrift.distillation import ProgressiveConfig, carried, few_step_times, noised, progressive
from undrift.errors import UsageError

SCHEDULES = [VE(50.0), VPCosine()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda path: path.kind)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_grids_of_the_stages_nest_and_end_as_the_students_steps(schedule, steps):
    config, last = ProgressiveConfig(first=16), few_step_times(steps, 1.6, schedule)
    shares = torch.linspace(0, 1, 33).tolist()
    stages = sorted({config.stage(share, steps) for share in shares})
    grids = [config.grid(stage, last, schedule) for stage in stages]
    assert [len(grid) - 1 for grid in grids] == [16 >> stage for stage in stages]
    for fine, coarse in zip(grids, [*grids[1:], torch.cat([last, last[:1] * 0])], strict=True):
        assert torch.equal(fine[::2], coarse) and (fine.diff() < 0).all()


def ended_apart(module=progressive, schedule=SCHEDULES[1]) -> float:
    """How far one step along the target ends from two of the teacher's."""
    t, m, s = (schedule.time_at(torch.full((64,), value).double()) for value in (-3.0, -1.0, 2.0))
    x_t, denoise = noised(STD * NOISE, NOISE.flip(0), t, schedule), teacher(schedule)
    x_m = carried(denoise(x_t, t, m), x_t, t, m, schedule)
    x_s = carried(denoise(x_m, m, s), x_m, m, s, schedule)
    target = module.joined_steps(denoise, x_t, (t, m, s), schedule)
    return float((carried(target, x_t, t, s, schedule) - x_s).abs().max())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda path: path.kind)
def test_one_step_along_the_target_is_two_of_the_teacher(schedule):
    assert ended_apart(schedule=schedule) < 1e-12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(x_s - r * x_t) / (last", "(x_s + r * x_t) / (last"),
        ("x_s, begin, end), x_s, begin", "x_s, begin, end), x_t, begin"),
        ("r = last.sigma / level.sigma", "r = level.sigma / last.sigma"),
    ],
)
def test_mutants_end_elsewhere(old, new):
    assert ended_apart(mutated(progressive, old, new)) > 0.01


def test_the_loss_is_the_weighted_squared_distance():
    schedule = VE(50.0)
    t = schedule.time_at(torch.full((64,), -2.0).double().exp())
    u = schedule(t).ratio
    found = progressive.progressive_losses(
        lambda x, *_: x + 0.5, NOISE, NOISE, (t, 0.5 * t), schedule
    )
    torch.testing.assert_close(found, 0.25 * (1 + u**-2))


def test_a_first_number_of_steps_that_cannot_be_halved_is_refused():
    with pytest.raises(UsageError, match="first is 12, wanted a power of 2"):
        ProgressiveConfig(first=12)
