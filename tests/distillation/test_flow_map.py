"""Flow maps: composition, the loss of exact maps, and its limits."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, VPCosine
from undrift.distillation import (
    FlowMapConfig,
    carried,
    consistency_losses,
    flow_map,
    noised,
)

SCHEDULE = VE(100.0)
X0 = torch.tensor([[0.5, -0.5], [1.0, 0.0], [0.2, 0.9]], dtype=torch.float64)
NOISE = torch.tensor([[1.0, 0.2], [-0.3, 0.8], [0.1, -1.4]], dtype=torch.float64)
STD = 0.7


def ratios(*values: float, schedule=SCHEDULE) -> torch.Tensor:
    return schedule.time_at(-2 * torch.tensor(values, dtype=torch.float64).log())


T, L, S = ratios(2.0, 3.0, 0.5), ratios(1.5, 2.0, 0.4), ratios(0.5, 0.3, 0.1)


def exact(schedule):
    """G of Gaussian data of deviation STD, whose map is x sqrt((w^2 + d^2) / (u^2 + d^2))."""

    def estimate(x_t, t, s):
        level, end = schedule(t).like(x_t), schedule(s).like(x_t)
        u, w = level.ratio, end.ratio
        x = x_t / level.alpha
        moved = x * ((w**2 + STD**2) / (u**2 + STD**2)).sqrt()
        return (moved - w / u * x) / (1 - w / u)

    return estimate


@pytest.mark.parametrize("schedule", [SCHEDULE, VPCosine(), Flow()], ids=lambda s: s.kind)
def test_the_exact_map_composes(schedule):
    t, s, r = (
        ratios(2.0, 3.0, 0.5, schedule=schedule),
        None,
        ratios(0.2, 0.3, 0.01, schedule=schedule),
    )
    s = ratios(0.7, 1.0, 0.1, schedule=schedule)
    estimate = exact(schedule)
    x_t = noised(X0, NOISE, t, schedule)
    x_s = carried(estimate(x_t, t, s), x_t, t, s, schedule)
    twice = carried(estimate(x_s, s, r), x_s, s, r, schedule)
    torch.testing.assert_close(twice, carried(estimate(x_t, t, r), x_t, t, r, schedule))


def losses(student, module=flow_map, times=(T, L, S), along=X0):
    t, middle, s = times
    x_t = noised(X0, NOISE, t, SCHEDULE)
    x_l = carried(along, x_t, t, middle, SCHEDULE)
    return module.flow_map_losses(student, x_t, x_l, along, times, SCHEDULE)


def residual(along, module=flow_map, closest=0.002) -> float:
    """The loss of the exact map, per gap, along its own denoiser: of first order in the gap."""
    t = ratios(2.0, 3.0, 0.5)
    middle = FlowMapConfig(closest=closest).between(t, S, 1.0, SCHEDULE)
    return float(losses(exact(SCHEDULE), module, (t, middle, S), along).mean())


def denoised():
    u = SCHEDULE(T).ratio[:, None]
    return noised(X0, NOISE, T, SCHEDULE) * STD**2 / (u**2 + STD**2)


def test_the_exact_map_has_no_loss_along_its_denoiser():
    far, near = residual(denoised(), closest=0.02), residual(denoised(), closest=0.002)
    assert near < 2e-3 and far / near == pytest.approx(10, rel=0.2)
    assert residual(X0) > 0.1  # a training image is right on average only


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("w * (u - v) / (safe * (u - w))", "w * (u + v) / (safe * (u - w))"),
        ("a * x0 + (1 - a) * later", "(1 - a) * x0 + a * later"),
        ("student(x_l, middle, s)", "student(x_l, s, middle)"),
    ],
)
def test_mutants_have(old, new):
    assert residual(denoised(), mutated(flow_map, old, new)) > 0.02


def test_with_the_whole_gap_it_is_a_denoising_loss():
    student = exact(SCHEDULE)
    x_t = noised(X0, NOISE, T, SCHEDULE)
    u, w = SCHEDULE(T).ratio, SCHEDULE(S).ratio
    error = (student(x_t, T, S) - X0).square().mean(1).sqrt()
    torch.testing.assert_close(losses(student, times=(T, S, S)), error / u)
    config = FlowMapConfig()
    torch.testing.assert_close(config.between(T, S, 0.0, SCHEDULE), S)
    gap = u - SCHEDULE(config.between(T, S, 1.0, SCHEDULE)).ratio
    torch.testing.assert_close(gap / (u - w), torch.full_like(u, config.closest))


def test_to_the_end_of_the_path_it_is_the_consistency_loss():
    student, zero = exact(SCHEDULE), torch.zeros_like(T)
    x_t, x_l = noised(X0, NOISE, T, SCHEDULE), noised(X0, NOISE, L, SCHEDULE)
    torch.testing.assert_close(
        losses(student, times=(T, L, zero)),
        consistency_losses(student, x_t, x_l, T, L, SCHEDULE),
    )


def test_ends_lie_below_and_a_share_of_them_at_the_image():
    config = FlowMapConfig(whole=0.25)
    quantile = torch.linspace(0.01, 0.99, 400, dtype=torch.float64)
    choice = torch.rand(400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    s = config.ends(quantile, choice, SCHEDULE)
    assert (s <= config.levels.time(SCHEDULE, quantile)).all()
    assert int((s == 0).sum()) == int((choice < 0.25).sum()) > 50
