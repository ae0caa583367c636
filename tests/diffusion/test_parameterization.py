from __future__ import annotations

import math

import pytest
import torch
from tests.diffusion.cases import EVERY_PAIR, PARAMETERIZATIONS, SCHEDULES, float64, name

from undrift.diffusion import EPSILON, FLOW, VE, X0, Flow, V, VPCosine, VPLinear, edm
from undrift.diffusion.parameterization import parameterization
from undrift.errors import UsageError

T = torch.linspace(0.01, 0.99, 33, dtype=torch.float64)


def batch(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(len(T), 5, generator=generator, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_the_target_gives_back_the_data(schedule, kind):
    x0, eps = batch()
    level = schedule(T)
    fitted = level.like(x0)
    x_t = fitted.alpha * x0 + fitted.sigma * eps
    target = kind.target(x0, eps, level)
    scale = 1 + fitted.ratio  # the noise that has to cancel
    assert float(((kind.to_x0(x_t, target, level) - x0).abs() / scale).max()) < 1e-14
    # Wrong noise, wrong data: the map is not blind.
    assert float((kind.to_x0(x_t, kind.target(x0, -eps, level), level) - x0).abs().max()) > 0.1 or (
        kind is X0
    )


def test_rows_are_those_of_the_papers():
    x0, eps = batch(1)
    vp, ve, flow = VPCosine()(T), VE()(T), Flow()(T)
    alpha, sigma = vp.alpha[:, None], vp.sigma[:, None]
    x_t = alpha * x0 + sigma * eps
    v = alpha * eps - sigma * x0
    assert torch.allclose(V.target(x0, eps, vp), v)
    assert torch.allclose(V.to_x0(x_t, v, vp), alpha * x_t - sigma * v)  # Salimans & Ho
    assert torch.allclose(EPSILON.to_x0(x_t, eps, vp), (x_t - sigma * eps) / alpha)  # DDPM, 15
    assert torch.allclose(FLOW.target(x0, eps, flow), eps - x0)  # dx/dt of the straight line

    s, d = ve.sigma, 0.5  # Karras et al. 2022, table 1
    ours = edm(d)
    assert torch.allclose(ours.c_skip(ve), d**2 / (s**2 + d**2))
    assert torch.allclose(ours.c_out(ve), s * d / (s**2 + d**2).sqrt())
    assert torch.allclose(ours.c_in(ve), 1 / (s**2 + d**2).sqrt())
    assert torch.allclose(ours.c_noise(ve), s.log() / 4)
    x_t = x0 + s[:, None] * eps
    theirs = (x0 - ours.c_skip(ve)[:, None] * x_t) / ours.c_out(ve)[:, None]
    assert torch.allclose(ours.target(x0, eps, ve), theirs)


def test_v_inverts_where_variance_is_not_preserved():
    x0, eps = batch(2)
    for schedule in (VE(), Flow()):
        level = schedule(T)
        alpha, sigma = level.alpha[:, None], level.sigma[:, None]
        x_t, v = alpha * x0 + sigma * eps, alpha * eps - sigma * x0
        assert torch.allclose(V.to_x0(x_t, v, level), x0)
        assert not torch.allclose(alpha * x_t - sigma * v, x0, atol=0.1)  # the usual mistake


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_edm_inputs_and_targets_have_unit_variance_on_every_path(schedule):
    data_std = 0.7
    level, kind = schedule(T), edm(data_std)
    row = kind.row(level, data_std)
    one = torch.ones_like(T)
    variance = row.target_x0**2 * data_std**2 + row.target_eps**2
    assert torch.allclose(variance, one, rtol=0, atol=1e-13)
    inputs = kind.c_in(level) ** 2 * (level.alpha**2 * data_std**2 + level.sigma**2)
    assert torch.allclose(inputs, one, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_coefficients_are_finite_at_both_ends(schedule, kind):
    for t in (0.0, 1.0):
        level = schedule(float64(t))
        pure_noise = float(level.alpha) == 0.0
        assert kind.well_posed_at(level) is not (kind is EPSILON and pure_noise)
        assert math.isfinite(float(kind.c_in(level)))
        assert math.isfinite(float(kind.c_noise(level)))
        target = kind.target(float64([[2.0]]), float64([[3.0]]), level)
        assert math.isfinite(float(target))
    assert kind.c_noise(schedule(float64(0.0))) == -2.5
    assert float(kind.c_noise(schedule(float64(1.0)))) <= 2.5


def test_one_ill_posed_level_in_a_batch_is_noticed():
    assert EPSILON.well_posed_at(VPCosine()(float64([0.1, 0.9])))
    assert not EPSILON.well_posed_at(VPCosine()(float64([0.1, 1.0])))
    assert EPSILON.well_posed_at(VPLinear()(float64(1.0)))  # its alpha is 0.0066


def test_equality_and_loading_by_name():
    for kind in PARAMETERIZATIONS:
        assert parameterization(kind.kind, kind.sigma_data) == kind
        assert hash(parameterization(kind.kind, kind.sigma_data)) == hash(kind)
    assert edm(0.5) != edm(1.0)
    assert V != FLOW
    with pytest.raises(UsageError, match="unknown parameterization 'noise'; give one of epsilon"):
        parameterization("noise")
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="positive"):
            edm(wrong)
