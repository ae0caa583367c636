"""Mean flows: the exact map has no loss, by either derivative."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.distillation.test_flow_map import NOISE, SCHEDULE, STD, X0, S, T, exact
from tests.oracle.mutation import mutated
from torch import nn

from undrift.diffusion import VPCosine
from undrift.distillation import MeanFlowConfig, mean_flow, noised
from undrift.errors import UsageError
from undrift.schema import from_plain, to_plain

# forward mode imports what torch itself has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

JVP = MeanFlowConfig(derivative="jvp")
NEAR = MeanFlowConfig(share=1e-5)


def losses(student, config, module=mean_flow, x0=X0, noise=NOISE, schedule=SCHEDULE):
    return module.mean_flow_losses(student, x0, noise, (T, S), schedule, config)


def along_its_denoiser(config, module=mean_flow) -> float:
    """The loss of the exact map of Gaussian data along the estimates of its denoiser."""
    u = SCHEDULE(T).ratio[:, None]
    x_t = noised(X0, NOISE, T, SCHEDULE)
    x0 = x_t * STD**2 / (u**2 + STD**2)
    return float(losses(exact(SCHEDULE), config, module, x0, (x_t - x0) / u).max())


@pytest.mark.parametrize("config", [JVP, NEAR], ids=["jvp", "difference"])
def test_the_exact_map_has_no_loss_along_its_denoiser(config):
    assert along_its_denoiser(config) < 1e-4
    assert float(losses(exact(SCHEDULE), config).mean()) > 0.1  # an image is right on average only


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- _like(u - w, x0) * slope", "+ _like(u - w, x0) * slope"),
        ("share * x0 + (1 - share) * estimate", "(1 - share) * x0 + share * estimate"),
        ("by_time / _like(speed, x0)", "by_time"),
    ],
)
def test_mutants_have(old, new):
    assert along_its_denoiser(JVP, mutated(mean_flow, old, new)) > 0.01


class Network(nn.Module):
    """A smooth function of image and both times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)).double()

    def forward(self, x, t, s):
        return self.layers(torch.cat([x, t[:, None], s[:, None]], 1))


@pytest.mark.parametrize("path", [SCHEDULE, VPCosine()], ids=lambda path: path.kind)
def test_both_derivatives_give_the_same_loss_and_gradient(path):
    found = []
    for config in (JVP, NEAR, MeanFlowConfig()):
        network = Network()
        loss = losses(network, config, schedule=path)
        loss.sum().backward()
        found.append((loss.detach(), network.layers[0].weight.grad))
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], rtol=0.01, atol=1e-3)
        torch.testing.assert_close(gradient, found[0][1], rtol=0.05, atol=0.02)


def test_the_target_has_no_gradient():
    """By hand: only the left side of (1) moves with the parameters."""
    network, broken = Network(), mutated(mean_flow, "with torch.no_grad():", "if True:")
    found = []
    for module in (mean_flow, broken):
        (gradient,) = torch.autograd.grad(
            losses(network, NEAR, module).sum(), network.layers[2].bias
        )
        found.append(gradient)
    assert not torch.allclose(*found, rtol=0.1)


def test_dropout_is_the_same_at_both_levels():
    dropout, seen = nn.Dropout(0.5), []

    def student(x, t, s):
        seen.append(dropout(torch.ones(3, 50)))
        return x * 1.0

    losses(student, NEAR)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_a_constant_of_flow_maps_plays_no_part_and_is_refused():
    plain = to_plain(MeanFlowConfig())
    assert isinstance(plain, dict) and "closest" not in plain
    with pytest.raises(UsageError, match="closest"):
        from_plain(MeanFlowConfig, plain | {"closest": 0.1}, "objective")


def test_constants_out_of_range_are_refused():
    with pytest.raises(UsageError, match="share is 0.9"):
        replace(JVP, share=0.9)


class Attention(Network):
    """The same with self-attention over its hidden values."""

    def forward(self, x, t, s):
        rows = self.layers[:2](torch.cat([x, t[:, None], s[:, None]], 1)).reshape(-1, 1, 4, 4)
        attended = nn.functional.scaled_dot_product_attention(4 * rows, rows, rows)
        return self.layers[2](attended.flatten(1))


def test_both_derivatives_of_attention_agree():
    jvp, near = (losses(Attention(), config).detach() for config in (JVP, NEAR))
    torch.testing.assert_close(jvp, near, rtol=1e-3, atol=1e-4)


def test_a_network_without_forward_mode_is_refused():
    def student(x, t, s):
        return x * torch.cdist(x * t[:, None].to(x), torch.ones_like(x)).mean()

    with pytest.raises(UsageError, match="derivative jvp, .* set derivative: difference"):
        losses(student, JVP)
    assert torch.isfinite(losses(student, NEAR)).all()
