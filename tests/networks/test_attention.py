"""Attention by plain products, where that is faster, is the attention that is fused elsewhere."""

from __future__ import annotations

import pytest
import torch

from undrift.networks import attention
from undrift.networks.attention import CrossAttention, SelfAttention

MASK = torch.arange(20) < torch.tensor([20, 7, 1])[:, None]


def stirred(layer: torch.nn.Module) -> torch.nn.Module:
    """Move zero-initialised projections off their start."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def trained(monkeypatch: pytest.MonkeyPatch, short: int, kind: str) -> list[torch.Tensor]:
    """Output and gradients of one step in bfloat16, 20 positions of 32 channels."""
    monkeypatch.setattr(attention, "_SHORT", short)
    torch.manual_seed(0)
    layer = stirred(CrossAttention(32, 6, 2) if kind == "cross" else SelfAttention(32, 2))
    x = torch.randn(3, 20, 32, requires_grad=True)
    tokens = torch.randn(3, 20, 6)
    with torch.autocast("cpu", torch.bfloat16):
        if kind == "cross":
            y = layer(x, tokens, MASK)
        else:
            y = layer(x, mask=MASK if kind == "masked" else None)
    (y.float() ** 2).sum().backward()
    return [y.detach().float(), *(p.grad for p in (x, *layer.parameters()) if p.grad is not None)]


@pytest.mark.parametrize(("kind", "tensors"), [("plain", 7), ("masked", 7), ("cross", 10)])
def test_products_and_the_fused_kernel_agree(
    monkeypatch: pytest.MonkeyPatch, kind: str, tensors: int
) -> None:
    products, fused = trained(monkeypatch, 256, kind), trained(monkeypatch, 0, kind)
    assert len(products) == len(fused) == tensors
    for ours, theirs in zip(products, fused, strict=True):
        error = (ours - theirs).norm() / theirs.norm()
        assert error < 0.02  # bfloat16 has 8 bits
    assert not torch.equal(products[1], fused[1])  # else nothing was compared


def test_without_gradients_or_in_float32_it_is_the_fused_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = SelfAttention(32, 2, zero=False)
    x = torch.randn(3, 20, 32)
    outcomes = []
    for short in (256, 0):
        monkeypatch.setattr(attention, "_SHORT", short)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            outcomes.append(layer(x))
        outcomes.append(layer(x.requires_grad_()).detach())
    assert torch.equal(outcomes[0], outcomes[2])
    assert torch.equal(outcomes[1], outcomes[3])


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_a_sequence_does_not_depend_on_its_padding(kind: str) -> None:
    torch.manual_seed(0)
    layer = stirred(CrossAttention(32, 6, 2) if kind == "cross" else SelfAttention(32, 2)).double()
    x, tokens = torch.randn(1, 5, 32).double(), torch.randn(1, 5, 6).double()
    mask = torch.arange(9)[None] < 5

    def padded(sequence: torch.Tensor) -> torch.Tensor:
        return torch.cat([sequence, 50 * torch.randn(1, 4, sequence.shape[2]).double()], dim=1)

    if kind == "cross":
        alone, within = layer(x, tokens, None), layer(x, padded(tokens), mask)
        unmasked = layer(x, padded(tokens), None)
    else:
        long = padded(x)
        alone, within, unmasked = layer(x), layer(long, mask=mask)[:, :5], layer(long)[:, :5]
    torch.testing.assert_close(within, alone, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(unmasked, alone, atol=1e-3)  # what the mask prevents
