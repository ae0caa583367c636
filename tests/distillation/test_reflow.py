"""Reflow: the teacher's pairs, and a student whose straight paths go where its teacher's do."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, VPCosine
from undrift.distillation import noised, reflow
from undrift.errors import UsageError

STD = 0.7


def teacher(schedule):
    """The denoiser of Gaussian data of deviation STD."""

    def estimate(x_t, t, s):
        level = schedule(t).like(x_t)
        variance = level.alpha**2 * STD**2 + level.sigma**2
        return level.alpha * STD**2 / variance * x_t

    return estimate


NOISE = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("schedule", [VE(50.0), VPCosine()], ids=lambda path: path.kind)
def test_the_teachers_images_are_the_ends_of_its_paths(schedule):
    """Of Gaussian data the exact map from noise is a factor; DDIM comes nearer with more steps."""
    exact = STD * NOISE * (1 if schedule.kind != "ve" else (1 + (STD / 50) ** 2) ** -0.5)
    near, far = (
        (reflow.teachers_images(teacher(schedule), NOISE, n, schedule) - exact).abs().max()
        for n in (400, 40)
    )
    assert near < 0.02 and far > 5 * near


def learned(module=reflow) -> torch.Tensor:
    """What a linear student G(x_t) = a x_t, for one level, learns from pairs."""
    schedule = VE(50.0)
    t = schedule.time_at(torch.full((64,), -2 * torch.tensor(2.0).log(), dtype=torch.float64))
    x = STD * NOISE
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    losses = module.reflow_losses(lambda x_t, *_: a * x_t, x, NOISE, (t, 0.5 * t), schedule)
    (slope,) = torch.autograd.grad(losses.mean(), a)
    x_t = noised(x, NOISE, t, schedule)
    assert slope == pytest.approx(float(-2 * 1.25 * (x * x_t).mean()))
    return slope


def test_the_loss_is_that_of_images_with_their_own_noise():
    assert learned() < 0


@pytest.mark.parametrize(
    ("old", "new"), [("noised(x, noise, t", "noised(x, -noise, t"), ("1 + schedule", "schedule")]
)
def test_mutants_die(old, new):
    with pytest.raises(AssertionError):
        learned(mutated(reflow, old, new))


def test_constants_out_of_range_are_refused():
    with pytest.raises(UsageError, match="pairs is 0"):
        reflow.ReflowConfig(pairs=0)
