from __future__ import annotations

import pytest
import torch
from tests.diffusion.cases import EVERY_PAIR, PARAMETERIZATIONS, SCHEDULES, Tiny, float64, name
from torch import nn

from undrift.diffusion import VE, X0, Denoiser, Flow, V, VPLinear, edm
from undrift.networks.context import Context


class Recorder(nn.Module):
    """Keeps what it was given and answers zero."""

    def forward(self, x, c_noise, context=None):
        self.given = (x, c_noise, context)
        return torch.zeros_like(x)


def inputs(dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(4, 2, 8, 8, generator=generator).to(dtype), float64([0.1, 0.4, 0.6, 0.9])


def test_the_network_gets_scaled_noise_its_level_and_the_context():
    x, t = inputs()
    context = Context(vector=torch.ones(4, 3))
    network, kind = Recorder(), edm(0.5)
    denoiser = Denoiser(network, VE(), kind)
    seen = denoiser(x, t, context)
    level = VE()(t)
    given, c_noise, heard = network.given
    assert torch.allclose(given, kind.c_in(level).float().view(-1, 1, 1, 1) * x)
    assert torch.allclose(c_noise, (level.sigma.log() / 4).float())
    assert heard is context
    assert torch.allclose(seen.x0, kind.c_skip(level).float().view(-1, 1, 1, 1) * x)
    assert torch.equal(seen.level.t, t)


def test_one_time_for_all_is_each_time_the_same():
    x, _ = inputs()
    denoiser = Denoiser(Tiny(), Flow(), V)
    one = denoiser(x, float64(0.3))
    each = denoiser(x, float64([0.3] * 4))
    assert torch.equal(one.x0, each.x0)
    assert torch.equal(one.velocity, each.velocity)
    assert not torch.equal(one.x0, denoiser(x, float64(0.31)).x0)


@pytest.mark.parametrize(
    ("given", "wide"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_the_network_keeps_the_dtype_and_the_rest_is_wide(given, wide):
    x, t = inputs(given)
    network = Recorder()
    seen = Denoiser(network, VPLinear(), X0)(x, t)
    assert network.given[0].dtype == given
    assert network.given[1].dtype == given
    assert seen.x0.dtype == seen.x_t.dtype == wide
    assert seen.level.alpha.dtype == torch.float64


@torch.no_grad()
def test_under_autocast_only_the_network_is_narrow():
    x, t = inputs()
    denoiser = Denoiser(Tiny(), VE(), edm(0.5))
    t = t * 1e-4  # next to data: c_out is small, and c_skip x_t must keep all of x_t's digits
    exact = denoiser(x, t)
    with torch.autocast("cpu", torch.bfloat16):
        seen = denoiser(x, t)
    assert seen.x0.dtype == torch.float32
    error = float((seen.x0 - exact.x0).abs().max())
    assert 0 < error < 2e-4
    assert float((x.bfloat16().float() - x).abs().max()) > 10 * error


def test_at_sigma_0_every_well_posed_kind_returns_the_data():
    x, _ = inputs()
    for schedule, kind in EVERY_PAIR:
        if kind is not X0:
            seen = Denoiser(Tiny(), schedule, kind)(x, float64(0.0))
            assert torch.allclose(seen.x0, x)


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [(one, V) for one in SCHEDULES] + [(Flow(), one) for one in PARAMETERIZATIONS],
    ids=name,
)
def test_forward_compiles_to_one_graph(schedule, kind):
    torch._dynamo.reset()
    x, t = inputs()
    denoiser = Denoiser(Tiny(), schedule, kind)
    context = Context(vector=torch.ones(4, 3))
    compiled = torch.compile(denoiser, fullgraph=True, backend="eager")
    wanted, got = denoiser(x, t, context), compiled(x, t, context)
    assert torch.equal(wanted.x0, got.x0)
    assert torch.equal(wanted.velocity, got.velocity)
