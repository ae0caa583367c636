"""Distribution matching: its gradient, and a Gaussian student that finds its mean."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, GaussianMixture
from undrift.distillation import matching, matching_losses, noised

SCHEDULE = VE(10.0)
TEACHER = GaussianMixture([[1.0, -2.0]], [0.5])


def test_the_gradient_is_the_normalised_difference():
    x = torch.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
    real, fake = torch.tensor([[0.0, 2.0], [0.5, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.5]])
    matching_losses(x, real, fake).sum().backward()
    wanted = (fake - real) / torch.tensor([[0.5], [0.5]]) / 2
    assert x.grad is not None
    torch.testing.assert_close(x.grad, wanted)


def moved(module=matching) -> torch.Tensor:
    """The mean of a student G(z) = m + z / 2, after steps by exact denoisers of both sides."""
    mean = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    for step in range(150):
        z = torch.randn(64, 2, generator=generator, dtype=torch.float64)
        noise = torch.randn(64, 2, generator=generator, dtype=torch.float64)
        t = torch.full((64,), 0.1, dtype=torch.float64)
        x = mean + z / 2
        student = GaussianMixture(mean.detach()[None], [0.5])
        x_t = noised(x, noise, t, SCHEDULE).detach()
        real = TEACHER.denoiser(SCHEDULE)(x_t, t).x0
        fake = student.denoiser(SCHEDULE)(x_t, t).x0
        (slope,) = torch.autograd.grad(module.matching_losses(x, real, fake).mean(), mean)
        mean = (mean - 0.5 * slope / (1 + step / 50)).detach().requires_grad_()
    return mean.detach()


def test_a_student_finds_the_teachers_mean():
    torch.testing.assert_close(moved(), TEACHER.means[0], atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [("(fake - real)", "(real - fake)"), ("(x - gradient).detach()", "(x - gradient)")],
)
def test_mutants_do_not(old, new):
    found = moved(mutated(matching, old, new))
    assert float((found - TEACHER.means[0]).abs().max()) > 0.5
