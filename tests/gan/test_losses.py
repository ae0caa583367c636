"""Adversarial losses against hand-worked values and against autograd."""

import math

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.errors import UsageError
from undrift.gan import Hinge, NonSaturating, RelativisticPaired, Wasserstein, losses

REAL = torch.tensor([0.0, 2.0, -3.0], dtype=torch.float64)
FAKE = torch.tensor([0.0, -1.0, 0.5], dtype=torch.float64)


def s(u: float) -> float:
    return math.log1p(math.exp(u))


WORKED = {
    "non_saturating": (
        NonSaturating(),
        [2 * math.log(2), s(-1) + s(-2), s(0.5) + s(3)],
        [math.log(2), s(1), s(-0.5)],
    ),
    "hinge": (Hinge(), [2, 0, 4 + 1.5], [0, 1, -0.5]),
    "wasserstein": (Wasserstein(), [0, -3, 3.5], [0, 1, -0.5]),
    "relativistic": (
        RelativisticPaired(),
        [math.log(2), s(-3), s(3.5)],
        [math.log(2), s(3), s(-3.5)],
    ),
}


@pytest.mark.parametrize("name", WORKED)
def test_hand_worked_values(name):
    loss, discriminator, generator = WORKED[name]
    assert loss.kind == name
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), REAL.new_tensor(discriminator))
    torch.testing.assert_close(loss.generator(REAL, FAKE), REAL.new_tensor(generator))


def sigmoid(u):
    return 1 / (1 + torch.exp(-u))


SLOPES = {  # d loss / d real, d loss / d fake: of the discriminator, of the generator
    "non_saturating": lambda r, g: (-sigmoid(-r), sigmoid(g), 0 * r, -sigmoid(-g)),
    "hinge": lambda r, g: (-(r < 1).double(), (g > -1).double(), 0 * r, -torch.ones_like(g)),
    "wasserstein": lambda r, g: (-torch.ones_like(r), torch.ones_like(g), 0 * r, -g / g),
    "relativistic": lambda r, g: (-sigmoid(g - r), sigmoid(g - r), sigmoid(r - g), -sigmoid(r - g)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradients_are_those_of_the_equations(name):
    loss = WORKED[name][0]
    real = torch.tensor([0.3, 2.0, -3.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([0.2, -1.5, 0.5], dtype=torch.float64, requires_grad=True)
    found = []
    for value in (loss.discriminator(real, fake), loss.generator(real, fake)):
        slopes = torch.autograd.grad(value.sum(), (real, fake), allow_unused=True)
        found += [torch.zeros_like(real) if slope is None else slope for slope in slopes]
    with torch.no_grad():
        for slope, wanted in zip(found, SLOPES[name](real, fake), strict=True):
            torch.testing.assert_close(slope, wanted)


def test_only_the_relativistic_generator_learns_from_reals():
    moved = {
        name: not torch.equal(loss.generator(REAL, FAKE), loss.generator(REAL + 1, FAKE))
        for name, (loss, _, _) in WORKED.items()
    }
    assert moved == {
        "non_saturating": False,
        "hinge": False,
        "wasserstein": False,
        "relativistic": True,
    }


def test_logits_far_away_stay_finite():
    far = torch.tensor([-1e4, 1e4])
    for loss, _, _ in WORKED.values():
        assert loss.discriminator(far, -far).isfinite().all()
        assert loss.generator(far, -far).isfinite().all()


@pytest.mark.parametrize("fake", [torch.zeros(3, 1), torch.zeros(4)])
def test_rows_that_would_broadcast_are_refused(fake):
    with pytest.raises(UsageError, match="wanted \\(B,\\)"):
        Hinge().discriminator(torch.zeros(3), fake)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("softplus(fake) + softplus(-real)", "softplus(fake) + softplus(real)", "NonSaturating"),
        ("relu(1 - real)", "relu(-real)", "Hinge"),
        ("fake - real  # (5)", "real - fake", "Wasserstein"),
        ("softplus(fake - real)", "softplus(real - fake)", "RelativisticPaired"),
    ],
)
def test_a_wrong_sign_is_seen(old, new, name):
    wrong = getattr(mutated(losses, old, new), name)()
    right = WORKED[wrong.kind]
    assert not torch.allclose(wrong.discriminator(REAL, FAKE), REAL.new_tensor(right[1]))
