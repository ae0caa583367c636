"""Attention by plain products, where that is faster, is the attention that is fused elsewhere."""

from __future__ import annotations

import pytest
import torch

from undrift.networks import attention
from undrift.networks.attention import SelfAttention


def trained(monkeypatch: pytest.MonkeyPatch, short: int) -> list[torch.Tensor]:
    """Output and gradients of one step in bfloat16, 20 positions of 32 channels."""
    monkeypatch.setattr(attention, "_SHORT", short)
    torch.manual_seed(0)
    layer = SelfAttention(32, 2, zero=False)
    x = torch.randn(3, 20, 32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    (y.float() ** 2).sum().backward()
    return [y.detach().float(), *(p.grad for p in (x, *layer.parameters()) if p.grad is not None)]


def test_products_and_the_fused_kernel_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    products, fused = trained(monkeypatch, 256), trained(monkeypatch, 0)
    assert len(products) == len(fused) == 7
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
