"""Inversion against a generator that is linear, whose best latents are known in closed form."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.errors import UsageError
from undrift.gan import Descent, Shortlist, descend, inversion, latent_space
from undrift.networks import Context, ContextSpec
from undrift.networks.gan import R3GANConfig, StyleGAN2Config, build_generator
from undrift.randomness import generator

SHAPE = (1, 3, 4)
SIZE, ROWS, TAU = 5, 4, 0.3
KNOWN = torch.tensor([[True, False, True, True], [False, False, True, True], [True] * 4])


class Linear:
    """Images A u + b."""

    name = "z"

    def __init__(self):
        draws = generator("linear")
        self.matrix = torch.randn(12, SIZE, generator=draws, dtype=torch.float64) / 2
        self.offset = torch.randn(12, generator=draws, dtype=torch.float64)

    def of(self, z):
        return z

    def images(self, u):
        return (u @ self.matrix.T + self.offset).reshape(-1, *SHAPE)


LINEAR = Linear()
Y = torch.randn(ROWS, *SHAPE, generator=generator("y"), dtype=torch.float64)
START = torch.randn(ROWS, SIZE, generator=generator("start"), dtype=torch.float64)


def quiet(i):
    raise AssertionError("noise was asked for that is 0")


def best():
    """Where (1) is least: the posterior mean of a Gaussian."""
    seen = LINEAR.matrix[KNOWN.flatten()]
    offset = Y.flatten(1)[:, KNOWN.flatten()] - LINEAR.offset[KNOWN.flatten()]
    inner = seen.T @ seen / TAU**2 + torch.eye(SIZE, dtype=torch.float64)
    return torch.linalg.solve(inner, seen.T @ offset.T / TAU**2).T


def found(module=inversion, iterations=200, noise=0.0, known=KNOWN):
    how = module.Descent(iterations, TAU, rate=0.1, noise=noise)

    def drawn(i):
        return torch.randn(ROWS, SIZE, generator=generator("noise", i), dtype=torch.float64)

    return module.descend(LINEAR, START, Y, known, how, drawn if noise else quiet)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_it_finds_the_most_likely_latents(noise):
    u, loss = found(noise=noise)
    torch.testing.assert_close(u, best(), rtol=0, atol=0.01)
    error = ((LINEAR.images(u) - Y) * KNOWN).square().flatten(1).sum(1)
    torch.testing.assert_close(loss, error / (2 * TAU**2) + u.square().sum(1) / 2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("known.to(values.dtype)", "(~known).to(values.dtype)"),
        ("(2 * how.tau**2)", "how.tau**2"),
        (" + u.square().sum(1) / 2  # (1)", ""),
        ("loss < least", "loss > least"),
    ],
)
def test_mutants_find_others(old, new):
    u, _ = found(mutated(inversion, old, new))
    assert (u - best()).abs().max() > 0.02


def test_it_is_never_worse_than_where_it_began():
    how = Descent(3, TAU, rate=50.0, noise=0.0)
    u, loss = descend(LINEAR, START, Y, KNOWN, how, quiet)
    assert torch.equal(u, START)
    assert torch.equal(loss, descend(LINEAR, START, Y, KNOWN, Descent(0, TAU), quiet)[1])


def test_rows_do_not_know_of_each_other():
    whole, _ = found(iterations=20)
    how = Descent(20, TAU, rate=0.1, noise=0.0)
    part, _ = descend(LINEAR, START[2:3], Y[2:3], KNOWN, how, quiet)
    torch.testing.assert_close(part, whole[2:3], rtol=0, atol=1e-12)


def test_hidden_values_do_not_matter():
    other = torch.where(KNOWN, Y, torch.full_like(Y, 1e3))
    u, _ = descend(LINEAR, START, other, KNOWN, Descent(20, TAU, 0.1, 0.0), quiet)
    assert torch.equal(u, found(iterations=20)[0])


def test_rate_and_noise_rise_and_fall_as_they_should():
    how = Descent(100, TAU, rate=0.2, noise=0.05)
    assert how.rate_at(0.0) == 0 and how.rate_at(1.0) == 0
    assert how.rate_at(0.025) == pytest.approx(0.1)
    assert how.rate_at(0.05) == how.rate_at(0.75) == pytest.approx(0.2)
    assert how.rate_at(0.875) == pytest.approx(0.1)
    assert how.noise_at(0.0, 16) == pytest.approx(0.2)
    assert how.noise_at(0.375, 16) == pytest.approx(0.05)
    assert how.noise_at(0.75, 16) == how.noise_at(0.9, 16) == 0


@pytest.mark.parametrize("size", [2, 7, 40])
def test_the_shortlist_is_that_of_all_distances_whatever_the_pieces(size):
    images = torch.randn(40, *SHAPE, generator=generator("pool"))
    values = Y.float()
    known = torch.stack([KNOWN, ~KNOWN, KNOWN, KNOWN])[:, None]
    distance = ((images[None] - values[:, None]) * known[:, None]).square().flatten(2).sum(2)
    wanted = distance.sort(1)
    made = Shortlist(ROWS, 3)
    for part in torch.arange(40).split(size):
        for rows in torch.arange(ROWS).split(3):
            made.add(rows, values[rows], known[rows], images[part], part)
    assert torch.equal(made.places, wanted.indices[:, :3])
    torch.testing.assert_close(made.distances, wanted.values[:, :3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("classes", [0, 3])
def test_styles_are_searched_about_the_mean_of_their_class(classes):
    torch.manual_seed(0)
    context = Context(torch.randn(3, 4)[[0, 1, 1, 2]]) if classes else None
    made = build_generator(
        StyleGAN2Config(width=4, latent=6),
        channels=1,
        size=(8, 8),
        context=ContextSpec(vector=4 if classes else 0),
    )
    z = torch.randn(4, 6)
    with torch.no_grad():
        space = latent_space(made, context, 4)
        u = space.of(z)
        torch.testing.assert_close(space.images(u), made(z, context))
        mean = space.images(torch.zeros_like(u))
        torch.testing.assert_close(mean, made(z, context, truncation=0.0))
        one = context[:1] if context is not None else None
        many = torch.randn(4000, 6)
        heard = None if one is None else Context(one.vector.expand(4000, -1))
        spread = latent_space(made, heard, 4000).of(many)
    assert space.name == "w"
    assert spread.square().mean() == pytest.approx(1, abs=0.05)
    assert spread.mean(0).abs().max() < 0.1


def test_other_generators_are_searched_in_their_latents():
    made = build_generator(
        R3GANConfig(width=8, latent=6, group_width=4),
        channels=1,
        size=(8, 8),
        context=ContextSpec(),
    )
    space, z = latent_space(made, None, 2), torch.randn(2, 6)
    assert space.name == "z" and torch.equal(space.of(z), z)
    with torch.no_grad():
        assert torch.equal(space.images(z), made(z))


@pytest.mark.parametrize(
    "setting",
    [
        {"iterations": -1},
        {"tau": 0.0},
        {"tau": float("nan")},
        {"rate": 0.0},
        {"noise": -0.1},
        {"noise": float("inf")},
    ],
)
def test_numbers_that_no_descent_can_have(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        Descent(**{"iterations": 3, "tau": 0.1, **setting})
