"""The classifier's pooling: torch's numbers, by a backward of fixed order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from undrift.networks.classifier import GRID, pooled


@pytest.mark.parametrize(
    "size", [(side, side) for side in (2, 7, 8, 16, 28, 30, 48, 64)] + [(28, 30), (16, 6), (3, 64)]
)
def test_pooling_equals_torchs(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, GRID, GRID, dtype=torch.float64)
    ours, theirs = pooled(x), F.adaptive_avg_pool2d(x, GRID)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad((weight * one).sum(), x)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        pooled(x.detach().float()), theirs.detach().float(), rtol=1e-5, atol=1e-6
    )


def test_the_backward_of_pooling_has_a_fixed_order() -> None:
    pending, seen = [pooled(torch.randn(1, 1, 7, 7, requires_grad=True)).grad_fn], set()
    while pending:
        node = pending.pop()
        seen.add(node.name())
        pending += [one for one, _ in node.next_functions if one is not None]
    assert not any("Pool" in name or "Scatter" in name or "Index" in name for name in seen), seen
