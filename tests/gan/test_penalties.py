"""Gradient penalties against closed forms, and their second derivatives against differences."""

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.errors import UsageError
from undrift.gan import interpolated, penalties, two_sided, zero_centred


def points(rows=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, 3, 3, generator=g, dtype=torch.float64).requires_grad_()


def linear(x, a):
    """f(x) = <a, x>: its gradient is a everywhere."""
    return (x * a).flatten(1).sum(1)


def quadratic(x, k):
    """f(x) = k |x|^2 / 2: its gradient is k x."""
    return k * x.flatten(1).square().sum(1) / 2


def test_zero_centred_of_a_linear_and_a_quadratic_discriminator():
    x = points()
    a = torch.full((2, 3, 3), 0.5, dtype=torch.float64)  # |a|^2 = 18 / 4
    torch.testing.assert_close(zero_centred(linear(x, a), x), torch.full((4,), 2.25).double())
    wanted = 9 * x.detach().flatten(1).square().sum(1) / 2
    torch.testing.assert_close(zero_centred(quadratic(x, 3.0), x), wanted)


def test_two_sided_of_a_linear_and_a_quadratic_discriminator():
    x = points()
    a = torch.zeros(2, 3, 3, dtype=torch.float64)
    a[0, 0, 0] = 3.0
    torch.testing.assert_close(two_sided(linear(x, a), x), torch.full((4,), 4.0).double())
    wanted = (2 * x.detach().flatten(1).norm(dim=1) - 1).square()
    torch.testing.assert_close(two_sided(quadratic(x, 2.0), x), wanted)


def test_the_penalties_teach_the_parameters():
    """d/dk of k^2 |x|^2 / 2 and of (k |x| - 1)^2: the double backward, in closed form."""
    x, k = points(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    size = x.detach().flatten(1).norm(dim=1)
    (slope,) = torch.autograd.grad(zero_centred(quadratic(x, k), x).sum(), k)
    torch.testing.assert_close(slope, (k * size.square()).sum().detach())
    (slope,) = torch.autograd.grad(two_sided(quadratic(x, k), x).sum(), k)
    torch.testing.assert_close(slope, (2 * (k * size - 1) * size).sum().detach())


@pytest.mark.parametrize("penalty", [zero_centred, two_sided])
def test_double_backward_through_a_network(penalty):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Softplus(), torch.nn.Flatten(),
        torch.nn.Linear(36, 1),
    ).double()  # fmt: skip
    x = points(rows=2)

    def value(weight):
        logits = torch.func.functional_call(network, {"0.weight": weight}, (x,))
        return penalty(logits.squeeze(1), x)

    assert torch.autograd.gradcheck(value, (network[0].weight,), fast_mode=True)


def test_a_flat_critic_has_a_finite_penalty_and_slope():
    x, k = points(), torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    found = two_sided(quadratic(x, k), x)
    torch.testing.assert_close(found, torch.ones(4).double())
    (slope,) = torch.autograd.grad(found.sum(), k)
    assert slope.isfinite()


def test_interpolation_goes_from_fake_to_real():
    real, fake = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    found = interpolated(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert found.is_leaf and found.requires_grad
    assert found.detach()[:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]
    with pytest.raises(UsageError, match="one share per row"):
        interpolated(real, fake, torch.zeros(2))


def test_images_without_gradients_are_refused():
    x = points().detach()
    with pytest.raises(UsageError, match="do not require gradients"):
        zero_centred(quadratic(x, 1.0), x)


def test_a_penalty_that_is_not_differentiable_is_seen():
    cut = mutated(penalties, "create_graph=True", "create_graph=False, retain_graph=True")
    x, k = points(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError):
        cut.zero_centred(quadratic(x, k), x).sum().backward()
