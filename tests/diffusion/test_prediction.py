from __future__ import annotations

import pytest
import torch
from tests.diffusion.cases import SCHEDULES, float64, name

from undrift.diffusion import VE, Flow, Prediction, VPCosine, VPLinear

X = float64([[1.0, -2.0], [0.5, 3.0]])
X0 = float64([[0.2, -1.0], [0.7, 1.0]])


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=name)
def test_pure_noise_has_every_view(schedule):
    level = schedule(float64(1.0))
    seen = Prediction(X, level, X0)
    assert torch.equal(seen.epsilon, X)
    assert torch.equal(seen.score, -X)
    assert torch.equal(seen.v, -X0)
    assert torch.allclose(seen.velocity, level.alpha_dot * X0 + level.sigma_dot * X)
    assert bool(torch.isfinite(seen.velocity).all())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_data_has_the_views_that_exist(schedule):
    level = schedule(float64(0.0))
    seen = Prediction(X, level, X)
    assert torch.equal(seen.epsilon, torch.zeros_like(X))
    assert torch.equal(seen.v, torch.zeros_like(X))
    assert bool(torch.isnan(seen.score).all())  # x_0 alone does not tell it
    if schedule.kind in ("ve", "flow", "sub_vp"):
        assert torch.allclose(seen.velocity, level.alpha_dot * X)
    else:
        assert bool(torch.isnan(seen.velocity).all())


def test_ends_and_middles_mix_in_one_batch():
    seen = Prediction(X, Flow()(float64([0.0, 0.5])), torch.stack([X[0], X0[1]]))
    assert torch.equal(seen.epsilon[0], torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(seen.epsilon[1], (X[1] - 0.5 * X0[1]) / 0.5)
    assert torch.allclose(seen.velocity[0], -X[0])


def test_the_velocity_of_the_straight_path_is_noise_less_data():
    level = Flow()(float64([0.3, 0.8]))
    seen = Prediction(X, level, X0)
    assert torch.allclose(seen.velocity, seen.epsilon - X0)
    assert not torch.allclose(seen.velocity, X0 - seen.epsilon)


def test_gradients_pass_and_are_finite_at_sigma_0():
    for schedule in (VE(), VPLinear()):
        x = X.clone().requires_grad_()
        seen = Prediction(x, schedule(float64([0.0, 0.5])), x * 1.0)
        (gradient,) = torch.autograd.grad(seen.epsilon.sum(), x)
        assert bool(torch.isfinite(gradient).all())


def test_views_keep_dtype_and_shape():
    seen = Prediction(X.float(), VPLinear()(float64([0.3, 0.8])), X0.float())
    for view in ("epsilon", "score", "v", "velocity"):
        value = getattr(seen, view)
        assert value.dtype == torch.float32
        assert value.shape == X.shape
