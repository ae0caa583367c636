"""Adversarial flow: penalties by finite difference, transport, and the size of gradients."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated
from torch import nn
from torch.nn.functional import softplus

from undrift.distillation import AdversarialFlowConfig, adversarial, difference_penalty
from undrift.gan import zero_centred

REAL, FAKE = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.1, 0.7, -0.4])


def smooth(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).double()


def ratio(module=adversarial, shift: float = 0.01) -> float:
    """Mean penalty by finite difference over that by autograd, on a smooth network."""
    network = smooth()
    x = torch.randn(8, 6, dtype=torch.float64).requires_grad_()
    exact = zero_centred(network(x), x).detach()
    many = 40_000
    noise = torch.randn(many, 8, 6, dtype=torch.float64)
    with torch.no_grad():
        base = network(x)
        moved = network((x + shift * noise).reshape(-1, 6)).reshape(many, 8)
        found = module.difference_penalty(base, moved, shift).mean(0)
    return float((found / exact).mean())


def test_penalties_by_finite_difference_are_those_of_autograd():
    assert ratio() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("old", "new"), [("/ shift).square() / 2", "/ shift).square()")])
def test_a_wrong_weight_is_seen(old, new):
    assert abs(ratio(mutated(adversarial, old, new)) - 1) > 0.5


def test_losses_by_hand():
    found = adversarial.discriminator_losses(REAL, FAKE, 0.01)
    torch.testing.assert_close(found, softplus(FAKE - REAL) + 0.01 * (REAL + FAKE) ** 2)
    moved = torch.tensor([[1.0, -1.0], [0.0, 2.0], [0.5, 0.5]])
    wanted = softplus(REAL - FAKE) + 0.2 * torch.tensor([1.0, 2.0, 0.25])
    torch.testing.assert_close(adversarial.generator_losses(REAL, FAKE, moved, 0.2), wanted)


def transported(module=adversarial) -> float:
    """Where a generator G(z) = z + b ends that is held by the transport alone."""
    b = torch.full((4,), 3.0, requires_grad=True)
    z, logits = torch.randn(16, 4), torch.zeros(16)
    for _ in range(200):
        loss = module.generator_losses(logits, logits, z + b - z, 0.2).mean()
        (gradient,) = torch.autograd.grad(loss, b)
        b = (b - gradient).detach().requires_grad_()
    return float(b.detach().abs().max())


def test_the_transport_term_draws_images_to_their_noise():
    assert transported() < 0.01
    assert not transported(mutated(adversarial, "+ weight * moved", "- weight * moved")) < 3


def test_its_weight_falls_by_half_a_cosine():
    config = AdversarialFlowConfig(transport=(0.2, 0.005))
    found = [config.transport_weight(share) for share in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([0.2, 0.1025, 0.005])
    assert config.transport_weight(0.25) == pytest.approx(0.1025 + 0.0975 * math.sqrt(0.5))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_gradients_have_the_same_size_whatever_the_discriminator(scale):
    x = torch.randn(5, 3, requires_grad=True)
    direction = torch.randn(5, 3)
    (scale * direction * adversarial.with_gradient_size(x, 0.2)).sum().backward()
    assert x.grad is not None
    assert float(x.grad.square().mean().sqrt()) == pytest.approx(0.2, rel=1e-5)
    torch.testing.assert_close(x.grad / 0.2, direction / direction.square().mean().sqrt())
    none = torch.ones(2, 2, requires_grad=True)
    (0 * adversarial.with_gradient_size(none, 0.2)).sum().backward()
    assert none.grad is not None and (none.grad == 0).all()
    assert difference_penalty is adversarial.difference_penalty
