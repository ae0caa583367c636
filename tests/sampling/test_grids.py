"""Grids fall, end exactly at 0, and mean the same noise levels under every schedule."""

from __future__ import annotations

import math

import pytest
import torch

from undrift.diffusion import VE, Flow, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.sampling import GRIDS, grid, karras, log_snr, uniform

SCHEDULES = [VE(), VE(5.0), VPLinear(), VPCosine(), Flow()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 20, 257])
def test_grids_fall_from_noise_to_exactly_zero(name, schedule, steps):
    times = grid(name, schedule, steps)
    assert times.shape == (steps + 1,)
    assert times.dtype == torch.float64
    assert times[-1] == 0
    assert (times.diff() < 0).all()
    assert times[0] <= 1
    if float(schedule(1.0).alpha) > 0:
        assert times[0] == 1


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=repr)
@pytest.mark.parametrize("make", [karras, log_snr])
def test_paths_into_pure_noise_begin_at_80(make, schedule):
    assert float(schedule(make(schedule, 10)[0]).ratio) == pytest.approx(80, rel=1e-9)


@pytest.mark.parametrize("make", [karras, log_snr])
def test_the_same_noise_levels_under_every_schedule(make):
    ratios = [
        schedule(make(schedule, 12, sigma_min=0.01, sigma_max=4.0)[:-1]).ratio
        for schedule in SCHEDULES
    ]
    for ratio in ratios[1:]:
        torch.testing.assert_close(ratio, ratios[0], rtol=1e-9, atol=0)


def test_karras_is_the_papers_equation():
    """Equation 5 of the paper, computed here term by term."""
    steps, rho = 18, 7
    wanted = [
        (80 ** (1 / rho) + i / (steps - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
        for i in range(steps)
    ]
    made = VE()(karras(VE(), steps)).sigma
    torch.testing.assert_close(
        made[:-1], torch.tensor(wanted, dtype=torch.float64), rtol=1e-9, atol=0
    )


def test_rho_1_is_even_in_sigma():
    made = VE()(karras(VE(), 9, rho=1.0)).sigma[:-1]
    torch.testing.assert_close(made.diff(), made.diff()[:1].expand(8))


def test_log_snr_is_even_in_log_snr():
    made = Flow()(log_snr(Flow(), 9)).log_snr[:-1]
    torch.testing.assert_close(made.diff(), made.diff()[:1].expand(8))
    assert float(made[-1]) == pytest.approx(-2 * math.log(0.002))


def test_uniform_is_even_in_time():
    assert uniform(VE(), 4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: karras(VE(), 0), "at least 1 step"),
        (lambda: log_snr(VE(), -3), "at least 1 step"),
        (lambda: uniform(VE(), 0), "at least 1 step"),
        (lambda: karras(VE(), 5, rho=0.0), "rho"),
        (lambda: karras(VE(), 5, rho=float("nan")), "rho"),
        (lambda: karras(VE(), 5, sigma_min=90.0), "the larger first"),
        (lambda: karras(VE(), 5, sigma_min=0.0), "above 0"),
        (lambda: karras(VE(), 5, sigma_max=float("inf")), "finite"),
        (lambda: karras(VE(5.0), 5, sigma_max=80.0), "beyond the schedule's 5"),
        (lambda: grid("karas", VE(), 5), "unknown grid 'karas': choose from karras"),
    ],
)
def test_bad_grids_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
