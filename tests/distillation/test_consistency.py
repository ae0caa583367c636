"""The consistency loss by hand: its gap, its weight, its gradient, its dropout."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated
from torch import nn

from undrift.diffusion import VE
from undrift.distillation import ConsistencyConfig, consistency, consistency_losses, noised
from undrift.errors import UsageError

SCHEDULE = VE(100.0)
X0 = torch.tensor([[0.5, -0.5], [1.0, 0.0], [0.2, 0.9]])
NOISE = torch.tensor([[1.0, 0.2], [-0.3, 0.8], [0.1, -1.4]])


def times(*ratios: float) -> torch.Tensor:
    return torch.tensor(ratios, dtype=torch.float64) / 100


def test_the_gap_closes_over_the_run_and_by_the_formula():
    config, u = ConsistencyConfig(q=2.0, stages=7.0, k=8.0, b=0.5), torch.tensor([0.1, 1.0, 20.0])
    widths = torch.stack([u - config.lower(u, share) for share in (0.0, 0.3, 0.7, 1.0)])
    assert (widths.diff(dim=0) <= 0).all() and (widths > 0).all()
    assert config.lower(u, 0.0)[0] == 0  # weak noise: a denoising loss at first
    wanted = 1 - 2**-8 * (1 + 8 / (1 + math.exp(0.5 * 1.0)))
    assert float(config.lower(u, 1.0)[1]) == pytest.approx(wanted)
    r = config.lower_time(times(0.1, 1.0, 20.0), 0.0, SCHEDULE)
    assert r[0] == 0 and SCHEDULE(r).ratio[2] == pytest.approx(float(config.lower(u, 0.0)[2]))


def losses(student, module=consistency, r=(0.5, 0.0, 0.1)):
    t, r = times(1.0, 2.0, 0.3), times(*r)
    x_t, x_r = noised(X0, NOISE, t, SCHEDULE), noised(X0, NOISE, r, SCHEDULE)
    return module.consistency_losses(student, x_t, x_r, t, r, SCHEDULE)


class Scaled(nn.Module):
    """f(x, t) = a x, whose loss is |a| |x_t - x_r| / (u - v), or |a x_t - x_0| / u."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x, t, s):
        assert (s == 0).all()
        return self.a * x


def test_the_loss_is_the_distance_over_the_gap():
    root = math.sqrt(2)
    wanted = [
        0.7 * float(NOISE[0].norm()) / root,
        float((0.7 * (X0[1] + 2 * NOISE[1]) - X0[1]).norm()) / root / 2.0,
        0.7 * float(NOISE[2].norm()) / root,
    ]
    assert losses(Scaled(0.7)).tolist() == pytest.approx(wanted, rel=1e-5)


def gradient(module=consistency) -> float:
    student = Scaled(0.7)
    losses(student, module, r=(0.5, 0.5, 0.1)).sum().backward()
    return float(student.a.grad)


def test_targets_have_no_gradient():
    """By hand: d/da |a x_t - sg(a x_r)| is the cosine of x_t - x_r with x_t, times |x_t|."""
    wanted = 0.0
    for x0, noise, u, v in zip(X0, NOISE, (1.0, 2.0, 0.3), (0.5, 0.5, 0.1), strict=True):
        wanted += float((x0 + u * noise) @ noise / noise.norm()) / math.sqrt(2) / (u - v)
    assert gradient() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("with torch.no_grad(), same", "with same", test_targets_have_no_gradient),
        (
            "schedule(t).ratio - schedule(r).ratio",
            "schedule(t).ratio",
            test_the_loss_is_the_distance_over_the_gap,
        ),
        (
            "torch.where(clean, x_r, target)",
            "target",
            test_the_loss_is_the_distance_over_the_gap,
        ),
        (
            "self.stages * fraction",
            "self.stages * (1 - fraction)",
            test_the_gap_closes_over_the_run_and_by_the_formula,
        ),
    ],
)
def test_mutants_die(old, new, check, monkeypatch):
    broken = mutated(consistency, old, new)
    monkeypatch.setattr(consistency, "consistency_losses", broken.consistency_losses)
    monkeypatch.setitem(globals(), "ConsistencyConfig", broken.ConsistencyConfig)
    with pytest.raises(AssertionError):
        check()


def test_both_passes_have_the_same_dropout():
    dropout = nn.Dropout(0.5)
    seen = []

    def student(x, t, s):
        seen.append(dropout(torch.ones(3, 50)))
        return x * 1.0

    torch.manual_seed(0)
    losses(student)
    assert torch.equal(*seen) and 0 < float((seen[0] == 0).float().mean()) < 1


def test_equal_estimates_have_a_finite_gradient():
    student = Scaled(0.0)
    losses(student, r=(0.5, 0.5, 0.1)).sum().backward()
    assert torch.isfinite(student.a.grad)


def test_constants_out_of_range_are_refused():
    with pytest.raises(UsageError, match="q is 0.5"):
        ConsistencyConfig(q=0.5)
    assert consistency_losses is consistency.consistency_losses
