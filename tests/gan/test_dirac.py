r"""The Dirac-GAN: real data at 0, a generator at theta, a discriminator f(x) = psi x.

Mescheder et al. 2018, section 2: about the equilibrium (0, 0) the field of the two gradients has
the Jacobian ``[[0, c], [-c, -gamma]]``, with c the slope of the loss at 0 (1/2 for the
non-saturating and the relativistic one) and gamma the weight of R1 or R2. Without a penalty its
eigenvalues are +-ic: the game circles with period 2 pi / c. With one they have the real part
-gamma / 2: it converges like exp(-gamma t / 2). WGAN-GP has no such field at psi = 0.
"""

import math
from collections.abc import Callable

import pytest
import torch
from tests.oracle.mutation import mutated
from torch import Tensor

from undrift.gan import (
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
    interpolated,
    penalties,
    two_sided,
    zero_centred,
)

RATE, C = 0.05, 0.5
Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]


def r1(gamma: float, rule=zero_centred) -> Penalty:
    return lambda psi, real, fake: gamma * rule(psi * real, real)


def r2(gamma: float) -> Penalty:
    return lambda psi, real, fake: gamma * zero_centred(psi * fake, fake)


def gradient_penalty(weight: float) -> Penalty:
    shares = torch.Generator().manual_seed(0)

    def penalty(psi: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        u = torch.rand(1, generator=shares)
        between = interpolated(real, fake, u)
        return weight * two_sided(psi * between, between)

    return penalty


def play(loss, penalty: Penalty | None, *, critic_steps=1, steps=800, start=0.02) -> Tensor:
    """Alternating gradient descent from theta = psi = start; the path, (steps, 2)."""
    theta, psi = (torch.tensor([start], dtype=torch.float64) for _ in range(2))
    path = []
    for _ in range(steps):
        for _ in range(critic_steps):
            psi.requires_grad_()
            real, fake = (x.detach().clone().requires_grad_() for x in (0 * theta, theta))
            value = loss.discriminator(psi * real, psi * fake)
            if penalty is not None:
                value = value + penalty(psi, real, fake)
            (slope,) = torch.autograd.grad(value.sum(), psi)
            psi = (psi - RATE * slope).detach()
        theta.requires_grad_()
        (slope,) = torch.autograd.grad(loss.generator(0 * psi * theta, psi * theta).sum(), theta)
        theta = (theta - RATE * slope).detach()
        path.append(torch.cat([theta, psi]))
    return torch.stack(path)


def turns(path: Tensor) -> float:
    """How often the path has gone round the equilibrium."""
    angle = torch.atan2(path[:, 1], path[:, 0])
    steps = (angle.diff() + math.pi).remainder(2 * math.pi) - math.pi
    return abs(float(steps.sum())) / (2 * math.pi)


@pytest.mark.parametrize(
    ("loss", "slope"), [(NonSaturating(), C), (RelativisticPaired(), C), (Wasserstein(), 1.0)]
)
def test_the_unregularised_game_circles(loss, slope):
    path = play(loss, None)
    size = path.norm(dim=1)
    assert size.max() < 1.06 * size.min()
    assert turns(path) == pytest.approx(slope * RATE * len(path) / (2 * math.pi), rel=0.02)


@pytest.mark.parametrize("loss", [NonSaturating(), RelativisticPaired()])
@pytest.mark.parametrize("penalty", [r1, r2])
def test_r1_and_r2_converge_at_the_rate_of_the_eigenvalues(loss, penalty):
    gamma = 0.4
    path = play(loss, penalty(gamma))
    size = path.norm(dim=1)
    # Between two points a whole number of periods apart the ellipse of the path drops out.
    period = 2 * math.pi / math.sqrt(C**2 - gamma**2 / 4) / RATE
    begin, end = 100, 100 + round(2 * period)
    rate = math.log(size[begin] / size[end]) / (RATE * (end - begin))
    assert rate == pytest.approx(gamma / 2, rel=0.03)
    assert size[-1] < 1e-3 * size[0]


def test_more_than_critical_damping_does_not_circle():
    """gamma > 2 c: the eigenvalues are real, the slower one is -(gamma - sqrt(gamma^2 - 1)) / 2."""
    path = play(NonSaturating(), r1(1.5))
    size = path.norm(dim=1)
    rate = math.log(size[200] / size[600]) / (RATE * 400)
    assert turns(path) < 0.5
    assert rate == pytest.approx((1.5 - math.sqrt(1.5**2 - 1)) / 2, rel=0.03)


@pytest.mark.parametrize("critic_steps", [1, 5])
def test_wgan_gp_does_not_converge(critic_steps):
    path = play(Wasserstein(), gradient_penalty(0.25), critic_steps=critic_steps, start=0.2)
    size = path.norm(dim=1)
    assert size[400:600].max() > 0.2
    assert size[600:].max() == pytest.approx(float(size[400:600].max()), rel=0.1)


def test_the_same_critic_converges_with_r1():
    """The control of the test above: the same loss, rate and steps, the other penalty."""
    assert play(Wasserstein(), r1(1.0), start=0.2)[-1].norm() < 1e-4


def test_a_penalty_of_the_wrong_sign_does_not_converge():
    wrong = mutated(penalties, ".sum(1) / 2  # (1)", ".sum(1) / -2  # (1)")
    assert play(NonSaturating(), r1(0.4, wrong.zero_centred), steps=400, start=0.2)[-1].norm() > 0.2
