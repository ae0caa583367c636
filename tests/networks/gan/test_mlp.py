"""Perceptrons of GANs: every level can be reached, batch-mates, spectral norm and waves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from undrift.codec import Identity
from undrift.errors import UsageError
from undrift.networks import Context, ContextSpec
from undrift.networks.gan import MLPGANConfig, build_discriminator, build_generator

from ..cases import awaken

POINT = {"channels": 1, "size": (1, 2), "context": ContextSpec()}


@pytest.mark.parametrize("size", [(1, 2), (3, 7), (1, 1), (8, 8)])
def test_any_size_will_do(size):
    made = {"channels": 2, "size": size, "context": ContextSpec()}
    generator = build_generator(MLPGANConfig(width=8, latent=3), **made)
    images = generator(torch.randn(5, 3))
    assert images.shape == (5, 2, *size)
    assert build_discriminator(MLPGANConfig(width=8), **made)(images).shape == (5,)


def test_every_level_is_reached_by_a_step_of_the_last_layer():
    """The last layer is linear: along a ray of latents levels rise evenly through all 256."""
    generator = build_generator(MLPGANConfig(width=8, latent=2), **POINT)
    with torch.no_grad():
        generator.out.weight.zero_()
        found = []
        for value in torch.linspace(-1.01, 1.01, 1024):
            generator.out.bias.copy_(value.expand(2))
            found.append(Identity().decode(generator(torch.zeros(1, 2))))
    assert torch.cat(found).unique().tolist() == list(range(256))


def test_points_are_judged_alone_unless_their_spread_is_asked_for():
    x = torch.randn(4, 1, 1, 2, generator=torch.Generator().manual_seed(5))
    for group, alike in ((1, True), (2, False)):
        torch.manual_seed(0)
        judge = awaken(build_discriminator(MLPGANConfig(width=8, group=group), **POINT))
        alone = torch.cat([judge(row[None]) for row in x])
        assert torch.allclose(judge(x), alone, atol=1e-5) == alike


def test_there_is_no_batch_norm():
    for make in (build_generator, build_discriminator):
        names = {type(layer).__name__ for layer in make(MLPGANConfig(), **POINT).modules()}
        assert not any("Norm" in name for name in names)


def test_spectral_norm_bounds_every_layer_and_their_product():
    torch.manual_seed(0)
    judge = build_discriminator(MLPGANConfig(width=16, layers=3, spectral_norm=True), **POINT)
    for _ in range(50):  # one power iteration at each pass
        judge(torch.randn(2, 1, 1, 2))
    judge.eval()
    layers = [layer for layer in judge.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach(), 2)
        assert norm.item() == pytest.approx(1, rel=1e-3)
    x = torch.randn(256, 1, 1, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(judge(x).sum(), x)
    assert slope.flatten(1).norm(dim=1).max() <= 1 + 1e-3
    free = build_discriminator(MLPGANConfig(width=16, layers=3), **POINT)
    norms = [torch.linalg.matrix_norm(layer.weight, 2) for layer in free.layers]
    assert max(norms) > 1.5


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_spectral_norm_bounds_what_is_said_under_a_condition_too(size):
    """A slope of 1 from the linear layers, and 1 from the projection, however long a condition."""
    torch.manual_seed(0)
    made = POINT | {"context": ContextSpec(vector=3)}
    config = MLPGANConfig(width=16, layers=3, spectral_norm=True)
    judge = build_discriminator(config, **made)
    known = Context(vector=size * torch.randn(256, 3))
    x = torch.randn(256, 1, 1, 2, requires_grad=True)
    for _ in range(50):
        judge(x, known)
    (slope,) = torch.autograd.grad(judge.eval()(x, known).sum(), x)
    assert slope.flatten(1).norm(dim=1).max() <= 2 + 1e-3


@pytest.mark.parametrize("waves", [(), (1.0, 4.0)])
def test_waves_are_heard_by_the_discriminator(waves):
    config = MLPGANConfig(width=8, fourier=waves)
    judge = awaken(build_discriminator(config, **POINT))
    assert judge.layers[0].in_features == 2 * (1 + 2 * len(waves))
    x = torch.tensor([[[[0.3, -0.2]]]])
    heard = [x.flatten()] + [f(w * x).flatten() for w in waves for f in (torch.sin, torch.cos)]
    h = torch.stack(heard).flatten()[None]
    for layer in judge.layers:
        h = torch.nn.functional.leaky_relu(layer(h), 0.2)
    assert torch.allclose(judge(x), judge.head(h, None))


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"layers": 0}, {"latent": 0}, {"group": 0}, {"fourier": (0.0,)}]
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(UsageError, match="mlp: .* wanted"):
        MLPGANConfig(**wrong)
