from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from tests.diffusion.cases import EVERY_PAIR, SCHEDULES, Tiny, float64, kolmogorov, name
from torch import nn

from undrift.diffusion import (
    EPSILON,
    SNR,
    VE,
    X0,
    Denoiser,
    DenoisingObjective,
    EDMWeight,
    Flow,
    LogitNormal,
    LogNormal,
    MinSNR,
    Uniform,
    Unit,
    V,
    VPCosine,
    VPLinear,
    edm,
)
from undrift.errors import UsageError
from undrift.networks.context import Context
from undrift.randomness import Draws
from undrift.schema import from_plain, to_plain

WEIGHTINGS = (Unit(), SNR(), MinSNR(5.0), EDMWeight())
LEVELS = (Uniform(), LogNormal(), LogitNormal())


class Silent(nn.Module):
    """Answers zero, so that the error is the target itself."""

    def forward(self, x, c_noise, context=None):
        return torch.zeros_like(x)


def whole(total: int, step: int = 0) -> Draws:
    return Draws(seed=7, step=step, total=total, start=0, stop=total)


def images(count: int, dtype=torch.float32):
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)


# ------------------------------------------------------------------- one loss per sample


def test_losses_are_per_sample_and_never_averaged():
    x0 = images(6)
    objective = DenoisingObjective()
    denoiser = Denoiser(Tiny(), VE(), edm(1.0))
    losses = objective(denoiser, x0, None, whole(6))
    for part in (losses.per_sample, losses.t, losses.weight, losses.log_snr):
        assert part.shape == (6,)
    changed = x0.clone()
    changed[2] += 1
    again = objective(denoiser, changed, None, whole(6))
    assert (again.per_sample != losses.per_sample).tolist() == [i == 2 for i in range(6)]


@pytest.mark.parametrize("levels", LEVELS + (LogNormal(stratified=False),), ids=name)
def test_parts_of_a_batch_are_the_whole(levels):
    x0 = images(8, torch.float64)
    objective = DenoisingObjective(levels, SNR())
    denoiser = Denoiser(Tiny().double(), VPCosine(), V)
    draws = whole(8, step=11)
    together = objective(denoiser, x0, None, draws)
    for start, stop in ((0, 3), (3, 8)):
        part = objective(denoiser, x0[start:stop], None, replace(draws, start=start, stop=stop))
        # not bit by bit: vectorised functions round by where a row lies in memory
        assert torch.allclose(part.t, together.t[start:stop], rtol=1e-12, atol=0)
        assert torch.allclose(part.per_sample, together.per_sample[start:stop], rtol=1e-12)
    # A part that forgot where it stands draws other numbers: the test above can fail.
    lost = objective(denoiser, x0[3:], None, replace(draws, start=0, stop=5))
    assert not torch.allclose(lost.per_sample, together.per_sample[3:])


def test_every_step_and_seed_draws_anew():
    denoiser = Denoiser(Silent(), VE(), edm(1.0))
    objective = DenoisingObjective()
    x0 = images(4)
    first = objective(denoiser, x0, None, whole(4))
    assert torch.equal(first.per_sample, objective(denoiser, x0, None, whole(4)).per_sample)
    for other in (whole(4, step=1), replace(whole(4), seed=8)):
        losses = objective(denoiser, x0, None, other)
        assert not bool((losses.t == first.t).any())
        assert not bool((losses.per_sample == first.per_sample).any())


def test_noise_and_levels_are_independent_draws():
    # The same stream used twice would tie the noise of a row to its level.
    draws = whole(4000)
    t = DenoisingObjective(Uniform(stratified=False)).times(Flow(), draws)
    noise = draws.normal("noise", (1,))[:, 0].double()
    correlation = torch.corrcoef(torch.stack([t, noise]))[0, 1]
    assert abs(float(correlation)) < 4 / math.sqrt(4000)


# ------------------------------------------------------------------------- the loss itself


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=name)
@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_the_loss_is_the_weighted_error_in_the_data(schedule, kind, weighting):
    x0 = images(6, torch.float64)
    denoiser = Denoiser(Tiny().double(), schedule, kind)
    t = schedule.time_at(float64([6.0, 3.0, 1.0, 0.0, -2.0, -5.0]))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    losses = DenoisingObjective(weighting=weighting).at(denoiser, x0, None, t, noise)
    level = schedule(t).like(x0)
    x_t = level.alpha * x0 + level.sigma * noise
    error = (denoiser(x_t, t).x0 - x0).square().mean((1, 2, 3))
    assert torch.allclose(losses.x0_error, error, rtol=1e-9)
    assert torch.allclose(losses.per_sample, losses.weight * error, rtol=1e-9)


def test_min_snr_is_right_for_each_kind():
    """Hang et al. 2023, section 3.4: what the network's own error counts."""
    gamma, schedule = 5.0, VPCosine()
    t = schedule.time_at(float64([4.0, 2.0, math.log(5.0), 0.5, -1.0, -4.0]))
    snr = schedule(t).log_snr.exp()
    capped = snr.clamp(max=gamma)
    x0 = images(6, torch.float64)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = {EPSILON: capped / snr, X0: capped, V: capped / (snr + 1)}
    for kind, factor in wanted.items():
        denoiser = Denoiser(Silent(), schedule, kind)
        losses = DenoisingObjective(weighting=MinSNR(gamma)).at(denoiser, x0, None, t, noise)
        own = kind.target(x0, noise, schedule(t)).square().mean((1, 2, 3))
        assert torch.allclose(losses.per_sample, factor * own, rtol=1e-10)
        # The known slips: v weighted like epsilon, and the cap on the wrong side.
        for slip in (capped / snr, capped / (snr + 1), snr.clamp(min=gamma)):
            if not torch.allclose(slip, factor):
                assert not torch.allclose(losses.per_sample, slip * own, rtol=1e-2)


def test_snr_weighting_is_ddpms_simple_loss():
    x0, t = images(4, torch.float64), float64([0.1, 0.3, 0.6, 0.9])
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    denoiser = Denoiser(Silent(), VPLinear(), EPSILON)
    losses = DenoisingObjective(weighting=SNR()).at(denoiser, x0, None, t, noise)
    assert torch.allclose(losses.per_sample, noise.square().mean((1, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_edm_weight_times_c_out_squared_is_one(schedule):
    sigma_data = 0.37
    level = schedule(schedule.time_at(torch.linspace(-19, 19, 39, dtype=torch.float64)))
    r = level.ratio
    weight = EDMWeight()(level.log_snr, sigma_data)
    paper = (r**2 + sigma_data**2) / (r * sigma_data) ** 2
    assert torch.allclose(weight, paper, rtol=1e-12)
    factor = weight * edm(sigma_data).c_out(level) ** 2
    # In units of x / alpha, where the path is EDM's own.
    assert torch.allclose(factor, torch.ones_like(factor), rtol=1e-11)
    assert not torch.allclose(EDMWeight()(level.log_snr, 0.5), paper, rtol=1e-2)


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_float32_is_exact_enough_at_the_most_extreme_levels(schedule, kind):
    x0 = images(2)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    t = schedule.time_at(float64([20.0, -20.0]))
    for weighting in (SNR(), MinSNR(), EDMWeight(), Unit()):
        objective = DenoisingObjective(weighting=weighting)
        narrow = objective.at(Denoiser(Silent(), schedule, kind), x0, None, t, noise)
        wide = objective.at(
            Denoiser(Silent(), schedule, kind), x0.double(), None, t, noise.double()
        )
        assert narrow.per_sample.dtype == torch.float32
        assert torch.allclose(narrow.per_sample.double(), wide.per_sample, rtol=1e-5)


def test_the_loss_stays_wide_under_autocast():
    x0 = images(4)
    denoiser = Denoiser(Tiny(), VE(), edm(1.0))
    wide = DenoisingObjective()(denoiser, x0, None, whole(4))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = DenoisingObjective()(denoiser, x0, None, whole(4))
    assert narrow.per_sample.dtype == torch.float32
    assert narrow.log_snr.dtype == torch.float64
    assert torch.allclose(narrow.per_sample, wide.per_sample, rtol=0.02)
    assert not torch.equal(narrow.per_sample, wide.per_sample)  # autocast did reach the network


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=name)
def test_the_loss_compiles_to_one_graph(weighting):
    torch._dynamo.reset()
    x0, t = images(4), float64([0.1, 0.3, 0.6, 0.9])
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    context = Context(vector=torch.ones(4, 3))
    objective = DenoisingObjective(weighting=weighting)
    denoiser = Denoiser(Tiny(), VPLinear(), V)
    compiled = torch.compile(objective.at, fullgraph=True, backend="eager")
    wanted, got = (f(denoiser, x0, context, t, noise) for f in (objective.at, compiled))
    assert torch.equal(wanted.per_sample, got.per_sample)
    got.per_sample.sum().backward()
    assert float(denoiser.network.conv.weight.grad.abs().sum()) > 0


# ------------------------------------------------------------------------- noise levels


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_levels_have_the_distribution_they_name(schedule):
    draws = whole(4000)

    def times(levels):
        return DenoisingObjective(levels).times(schedule, draws)

    normal = torch.distributions.Normal(0.0, 1.0)
    assert kolmogorov(times(Uniform(stratified=False)), lambda t: t) < 2.2
    log_ratio = -schedule(times(LogNormal(-0.6, 1.3, stratified=False))).log_snr / 2
    assert kolmogorov(log_ratio, lambda y: normal.cdf((y + 0.6) / 1.3)) < 2.2
    assert kolmogorov(log_ratio, lambda y: normal.cdf((y + 0.3) / 1.3)) > 4  # another mean shows
    logit = torch.logit(times(LogitNormal(0.2, 0.8, stratified=False)))
    assert kolmogorov(logit, lambda y: normal.cdf((y - 0.2) / 0.8)) < 2.2


def test_on_the_straight_path_logit_normal_is_log_normal():
    draws = whole(64)
    a = DenoisingObjective(LogitNormal(0.3, 0.9)).times(Flow(), draws)
    b = DenoisingObjective(LogNormal(0.3, 0.9)).times(Flow(), draws)
    assert torch.allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("levels", LEVELS, ids=name)
def test_stratified_levels_fill_every_stratum_once(levels):
    draws = whole(50)

    def strata(choice):
        # Times rise with the quantile, so the cdf of the times is read off a fine table.
        t = DenoisingObjective(choice).times(Flow(), draws)
        u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
        quantile = torch.searchsorted(choice.time(Flow(), u), t) / 200_000
        return sorted((quantile * 50).floor().int().tolist())

    assert strata(levels) == list(range(50))
    assert strata(replace(levels, stratified=False)) != list(range(50))


def test_a_rows_place_in_the_batch_says_nothing_about_its_level():
    objective = DenoisingObjective(Uniform())
    t = torch.stack([objective.times(Flow(), whole(10, step)) for step in range(400)])
    error = (1 / math.sqrt(12)) / math.sqrt(400)
    assert float((t.mean(0) - 0.5).abs().max()) < 4 * error
    assert float((t.mean(1) - 0.5).abs().max()) < 0.05  # and yet each batch covers the range


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
@pytest.mark.parametrize("levels", [Uniform(), LogNormal(0.0, 40.0), LogitNormal(0.0, 60.0)])
def test_no_level_is_beyond_what_can_be_inverted(schedule, levels):
    t = DenoisingObjective(levels).times(schedule, whole(2000))
    log_snr = schedule(t).log_snr
    assert float(log_snr.abs().max()) <= 20 + 1e-6
    losses = DenoisingObjective(levels)(
        Denoiser(Silent(), schedule, EPSILON), images(200), None, whole(200)
    )
    assert bool(torch.isfinite(losses.per_sample).all())


# ------------------------------------------------------------------------ configuration


@dataclass(frozen=True)
class Holder:
    objective: DenoisingObjective


@pytest.mark.parametrize("levels", LEVELS, ids=name)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=name)
def test_an_objective_survives_the_trip_through_plain_data(levels, weighting):
    holder = Holder(DenoisingObjective(levels, weighting))
    assert from_plain(Holder, to_plain(holder), "test") == holder


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogNormal(std=0.0),
        lambda: LogNormal(mean=math.nan),
        lambda: LogitNormal(std=-1.0),
        lambda: LogitNormal(std=math.inf),
        lambda: MinSNR(gamma=0.0),
        lambda: MinSNR(gamma=math.nan),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(UsageError, match="give a"):
        make()
