"""Grids fall, end exactly at 0, and mean the same noise levels under every schedule."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from scipy import stats

from undrift.diffusion import VE, Flow, SubVP, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.sampling import (
    GRIDS,
    beta,
    from_ratios,
    from_times,
    grid,
    karras,
    leading,
    log_snr,
    parse_grid,
    quadratic,
    shifted,
    trailing,
    uniform,
)

SCHEDULES = [VE(), VE(5.0), VPLinear(), VPCosine(), Flow(), SubVP()]


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
    if float(schedule(1.0).alpha) > 0 and name != "leading":
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


def test_quadratic_is_the_square_of_uniform():
    assert quadratic(VE(), 4).tolist() == [1.0, 0.5625, 0.25, 0.0625, 0.0]


def test_beta_of_one_half_is_the_arcsine_law():
    """Beta(1/2, 1/2) has F^-1(u) = sin(pi u / 2)^2."""
    steps = 7
    wanted = [math.sin(math.pi / 2 * (1 - i / steps)) ** 2 for i in range(steps + 1)]
    assert beta(VE(), steps, a=0.5, b=0.5).tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.6, 0.6), (0.3, 1.4), (2.0, 0.8)])
def test_beta_inverts_the_distribution_function(a, b):
    times = beta(VE(), 12, a=a, b=b).numpy()
    assert stats.beta.cdf(times, a, b) == pytest.approx([1 - i / 12 for i in range(13)], abs=1e-9)


def test_beta_of_one_is_uniform_and_its_parameters_have_sides():
    assert beta(VE(), 5, a=1.0, b=1.0).tolist() == pytest.approx(uniform(VE(), 5).tolist())
    assert float(beta(VE(), 20, a=0.4, b=1.0)[-2]) < float(beta(VE(), 20, a=1.0, b=0.4)[-2])


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 7.0])
def test_shifting_the_flow_multiplies_its_noise(shift):
    plain, moved = (
        Flow()(times[1:-1]).ratio for times in (uniform(Flow(), 9), shifted(Flow(), 9, shift=shift))
    )
    torch.testing.assert_close(moved, shift * plain, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        # Lin et al. 2024, table 2: T = 1000, S = 10, counted from 1
        (10, [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100]),
        (3, [1000, 667, 333]),
        (16, [1000, 938, 875, 812, 750, 688, 625, 562, 500, 438, 375, 312, 250, 188, 125, 62]),
        (1, [1000]),
    ],
)
def test_trailing_counts_from_the_noise(steps, wanted):
    assert (trailing(VPLinear(), steps) * 1000).tolist() == pytest.approx([*wanted, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("steps", "offset", "wanted"),
    [
        # Lin et al. 2024, table 2
        (10, 0, [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
        (10, 1, [902, 802, 702, 602, 502, 402, 302, 202, 102, 2]),
        (3, 0, [667, 334, 1]),
        (1, 0, [1]),
    ],
)
def test_leading_counts_from_the_data(steps, offset, wanted):
    made = leading(VPLinear(), steps, offset=offset)
    assert (made * 1000).tolist() == pytest.approx([*wanted, 0], abs=1e-9)


@pytest.mark.parametrize("name", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [1, 4, 7, 20, 50, 333, 1000])
def test_chain_grids_are_those_of_diffusers(name, steps):
    diffusers = pytest.importorskip("diffusers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = diffusers.DDIMScheduler(timestep_spacing=name)
        theirs.set_timesteps(steps)
    wanted = ((theirs.timesteps + 1) / 1000).tolist()
    assert grid(name, VPLinear(), steps)[:-1].tolist() == pytest.approx(wanted, abs=1e-6)


def test_names_carry_numbers():
    for name, made in [
        ("karras:3", karras(VE(), 6, rho=3)),
        ("shifted:5", shifted(VE(), 6, shift=5)),
        ("shifted", shifted(VE(), 6, shift=3)),
        ("beta", beta(VE(), 6, a=0.6, b=0.6)),
        ("beta:0.5,0.9", beta(VE(), 6, a=0.5, b=0.9)),
        ("leading:1", leading(VE(), 6, offset=1)),
    ]:
        assert torch.equal(grid(name, VE(), 6, rho=7.0), made), name
    assert parse_grid("uniform") == ("uniform", ())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_written_noise_levels_are_met(schedule):
    """A published grid of six evaluations, its first level cut to what every schedule has."""
    levels = [4.5, 3.8811, 1.584, 0.5666, 0.1698, 0.002]
    times = from_ratios(schedule, levels)
    assert torch.equal(times, from_ratios(schedule, [*levels, 0]))
    assert times[-1] == 0
    assert schedule(times[:-1]).ratio.tolist() == pytest.approx(levels, rel=1e-9)


def test_the_schedules_own_largest_noise_is_its_end():
    assert from_ratios(VE(5.0), [5.0, 1.0])[0] == 1
    assert from_times([1, 0.5, 0]).tolist() == [1.0, 0.5, 0.0]


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
        (lambda: grid("karas", VE(), 5), "unknown grid 'karas': did you mean 'karras'"),
        (lambda: grid("zzz", VE(), 5), "unknown grid 'zzz': choose from karras"),
        (lambda: grid("uniform:3", VE(), 5), "uniform takes no numbers; write uniform"),
        (lambda: grid("shifted:", VE(), 5), "takes one number; like shifted:3"),
        (lambda: grid("shifted:a", VE(), 5), "takes one number"),
        (lambda: grid("beta:0.6", VE(), 5), "takes two numbers; like beta:0.6,0.6"),
        (lambda: grid("leading:0.5", VE(), 5), "takes one number; like leading:1"),
        (lambda: grid("shifted:-1", VE(), 5), "above 0"),
        (lambda: grid("karras:nan", VE(), 5), "rho nan"),
        (lambda: grid("beta:0,1", VE(), 5), "above 0"),
        (lambda: grid("beta:0.001,1", VE(), 50), "fall together"),
        (lambda: leading(VE(), 1001), "no more"),
        (lambda: trailing(VE(), 1001), "no more"),
        (lambda: leading(VE(), 1000, offset=1), "leaves the chain"),
        (lambda: from_times([1.0]), "two or more"),
        (lambda: from_times([1.0, 0.5, 0.5, 0.0]), "each below the last"),
        (lambda: from_times([1.0, 0.5]), "end at exactly 0"),
        (lambda: from_times([1.5, 0.0]), "at 1 or below"),
        (lambda: from_times([float("nan"), 0.0]), "finite"),
        (lambda: from_times([[1.0, 0.0]]), "in a row"),
        (lambda: from_times(["a", 0.0]), "give numbers"),
        (lambda: from_ratios(VE(), []), "one or more"),
        (lambda: from_ratios(VE(), [1.0, 2.0]), "each below the last"),
        (lambda: from_ratios(VE(), [1.0, -1.0]), "above 0"),
        (lambda: from_ratios(VE(5.0), [6.0, 1.0]), "beyond the schedule's 5"),
    ],
)
def test_bad_grids_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
