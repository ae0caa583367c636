from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.diffusion.cases import SCHEDULES, float64, name

from undrift.diffusion import VE, Flow, Level, Schedule, VPCosine, VPLinear
from undrift.errors import UsageError
from undrift.schema import from_plain, to_plain

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
INSIDE = torch.linspace(0, 1, 203, dtype=torch.float64)[1:-1]
NEAR_ENDS = float64([1e-15, 1e-9, 1e-4, 0.5, 1 - 1e-4, 1 - 1e-9])


def round_trip_error(schedule) -> float:
    """Largest relative error of t -> log-SNR -> t, the distance to both ends counted."""
    t = torch.cat([INSIDE, NEAR_ENDS])
    back = schedule.time_at(schedule(t).log_snr)
    return float(((back - t).abs() / t).max())


def derivative_error(schedule) -> float:
    """Largest relative error of the stated derivatives against automatic differentiation."""
    worst = 0.0
    for value, stated in (("alpha", "alpha_dot"), ("sigma", "sigma_dot")):
        t = torch.cat([INSIDE, NEAR_ENDS]).requires_grad_()
        level = schedule(t)
        summed = getattr(level, value).sum()
        wanted = torch.autograd.grad(summed, t)[0] if summed.requires_grad else torch.zeros_like(t)
        error = (getattr(level, stated) - wanted).abs() / (1 + wanted.abs())
        worst = max(worst, float(error.detach().max()))
    return worst


@every_schedule
def test_time_is_recovered_from_log_snr(schedule):
    assert round_trip_error(schedule) < 1e-12


@every_schedule
def test_both_ends_are_recovered(schedule):
    ends = float64([0.0, 1.0])
    level = schedule(ends)
    back = schedule.time_at(level.log_snr)
    assert back[0] == 0.0
    assert abs(float(back[1]) - 1.0) < 1e-14
    assert level.sigma[0] == 0.0
    assert level.alpha[0] == 1.0
    assert level.log_snr[0] == math.inf
    if schedule.kind in ("vp_cosine", "flow"):
        assert level.alpha[1] == 0.0
        assert back[1] == 1.0
        assert level.log_snr[1] == -math.inf


@every_schedule
def test_log_snr_is_recovered_from_time(schedule):
    log_snr = torch.linspace(-8, 30, 97, dtype=torch.float64)
    assert torch.allclose(schedule(schedule.time_at(log_snr)).log_snr, log_snr, rtol=0, atol=1e-10)


@every_schedule
def test_a_log_snr_out_of_reach_gives_the_nearest_end(schedule):
    t = schedule.time_at(float64([math.inf, 1e4, -1e4, -math.inf]))
    assert torch.allclose(t, float64([0.0, 0.0, 1.0, 1.0]), rtol=0, atol=1e-12)
    assert float(t.max()) <= 1.0


@every_schedule
def test_derivatives_are_exact(schedule):
    assert derivative_error(schedule) < 1e-12


@every_schedule
def test_the_checks_above_can_fail(schedule):
    @dataclass(frozen=True)
    class Mutant:
        part: str

        def __call__(self, t):
            level = schedule(t)
            if self.part == "alpha_dot" and schedule.kind == "ve":
                return replace(level, alpha_dot=level.alpha_dot + 1)
            return replace(level, **{self.part: -getattr(level, self.part)})

        def time_at(self, log_snr):
            return schedule.time_at(log_snr + 1e-6)

    assert derivative_error(Mutant("alpha_dot")) > 1e-3
    assert derivative_error(Mutant("sigma_dot")) > 1e-3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mutant, "__call__", lambda self, t: schedule(t))
        assert round_trip_error(Mutant("none")) > 1e-9


@every_schedule
def test_log_snr_falls_strictly(schedule):
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)
    assert bool((schedule(t).log_snr.diff() < 0).all())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    schedule=st.one_of(
        st.builds(VPLinear, beta_min=st.floats(1e-3, 1.0), beta_max=st.floats(1.0, 40.0)),
        st.builds(VPCosine, s=st.floats(1e-4, 1.0)),
        st.builds(VE, sigma_max=st.floats(0.1, 1e4)),
        st.just(Flow()),
    ),
    pair=st.tuples(st.floats(1e-9, 0.999), st.floats(1e-9, 0.999)),
)
def test_any_setting_is_monotone_and_inverts(schedule, pair):
    low, high = sorted(pair)
    level = schedule(float64([low, high]))
    if high - low > 1e-12:
        assert level.log_snr[0] > level.log_snr[1]
    assert torch.allclose(schedule.time_at(level.log_snr), level.t, rtol=1e-11, atol=0)


@pytest.mark.parametrize("schedule", [VPLinear(), VPCosine()], ids=name)
def test_variance_is_preserved_and_no_digits_are_lost_near_data(schedule):
    level = schedule(INSIDE)
    assert torch.allclose(level.alpha**2 + level.sigma**2, torch.ones_like(INSIDE), atol=1e-15)
    near = schedule(float64(1e-18))
    slope = (
        0.1 if schedule.kind == "vp_linear" else math.pi / 1.008 * math.tan(math.pi * 0.008 / 2.016)
    )
    assert abs(float(near.sigma) / math.sqrt(slope * 1e-18) - 1) < 1e-9
    # What sqrt(1 - alpha^2) would have made of it.
    assert float(torch.sqrt(1 - near.alpha**2)) == 0.0


def test_vp_linear_is_ddpms_chain_in_continuous_time():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    ours = VPLinear()(t).log_snr
    theirs = torch.log(alpha_bar / (1 - alpha_bar))
    # The continuous path leaves out terms of beta^2, 7 % of SNR at most; a factor of 2 or an
    # index off by a tenth of the chain would be ten times that.
    assert float((ours - theirs).abs()[9:].max()) < 0.08


def test_vp_cosine_is_nichol_and_dhariwals():
    t = INSIDE
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    alpha_bar = f / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    level = VPCosine()(t)
    assert torch.allclose(level.alpha**2, alpha_bar, rtol=0, atol=1e-14)
    assert torch.allclose(level.sigma**2, 1 - alpha_bar, rtol=0, atol=1e-14)


def test_ve_and_flow_are_what_they_say():
    ve, flow = VE(80.0)(INSIDE), Flow()(INSIDE)
    assert torch.equal(ve.alpha, torch.ones_like(INSIDE))
    assert torch.equal(ve.sigma, 80 * INSIDE)
    assert torch.equal(flow.alpha, 1 - INSIDE)
    assert torch.equal(flow.sigma, INSIDE)
    assert torch.equal(flow.ratio, INSIDE / (1 - INSIDE))


def test_like_fits_levels_to_a_batch():
    x = torch.zeros(3, 2, 4, 4)
    each = Flow()(float64([0.1, 0.2, 0.3])).like(x)
    assert each.sigma.shape == (3, 1, 1, 1)
    assert each.sigma.dtype == torch.float32
    assert each.like(x).sigma.shape == (3, 1, 1, 1)
    one = VPLinear()(float64(0.5)).like(x.double())
    assert one.alpha.shape == ()
    assert one.alpha.dtype == torch.float64


@every_schedule
def test_levels_are_float64_whatever_the_time_was(schedule):
    for t in (0.25, torch.tensor(0.25), torch.tensor([0.25], dtype=torch.float16)):
        level = schedule(t)
        assert {v.dtype for v in vars(level).values()} == {torch.float64}
        assert abs(float(level.sigma.squeeze()) - float(schedule(float64(0.25)).sigma)) < 1e-15


@every_schedule
def test_a_schedule_survives_the_trip_through_plain_data(schedule):
    @dataclass(frozen=True)
    class Holder:
        schedule: object

    Holder.__annotations__["schedule"] = Schedule
    assert to_plain(schedule)["kind"] == schedule.kind
    assert from_plain(Holder, to_plain(Holder(schedule)), "test") == Holder(schedule)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VPLinear(beta_min=0.0),
        lambda: VPLinear(beta_min=2.0, beta_max=1.0),
        lambda: VPLinear(beta_max=math.inf),
        lambda: VPLinear(beta_min=math.nan),
        lambda: VPCosine(s=0.0),
        lambda: VPCosine(s=math.nan),
        lambda: VE(sigma_max=-1.0),
        lambda: VE(sigma_max=math.nan),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(UsageError, match="give"):
        make()


def test_a_level_is_frozen():
    level = Flow()(0.5)
    assert isinstance(level, Level)
    with pytest.raises(AttributeError):
        level.alpha = level.sigma
