"""Colours of what a discriminator sees: what is left of them on average, and which stay."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.gan import colour, transformed
from undrift.gan.colour import coloured
from undrift.randomness import Draws

COUNT = 20_000
GREY = torch.full((3,), 0.5)
RED = torch.tensor([1.0, -0.5, -0.5])
"""A colour without any grey: v and it are at right angles."""


def draws() -> Draws:
    return Draws(0, 0, COUNT, 0, COUNT)


def seen(pixel: torch.Tensor, p: float, by=coloured) -> torch.Tensor:
    """What becomes of one pixel, many times: (COUNT, 3)."""
    return by(pixel.view(1, 3, 1, 1).expand(COUNT, 3, 1, 1), p, draws()).flatten(1)


def log_normal(p: float, octaves: float) -> float:
    """Mean of a factor that is 1 but with probability p."""
    return 1 - p + p * math.exp((octaves * math.log(2)) ** 2 / 2)


def close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether means over the rows agree within 4 standard errors."""
    error = found.double().std(0) / math.sqrt(COUNT)
    return bool(((found.double().mean(0) - wanted.double()).abs() < 4 * error + 1e-6).all())


@pytest.mark.parametrize("p", [0.25, 0.5, 0.8])
def test_greys_and_hues_are_left_with_1_minus_p(p: float) -> None:
    """Luma flips and hues are uniform on groups; the other means are those of the log-normals."""
    contrast, saturation = log_normal(p, 0.5), log_normal(p, 1.0)
    assert close(seen(GREY, p), (1 - p) * contrast * GREY)
    assert close(seen(RED, p), (1 - p) * contrast * saturation * RED)


def test_flipping_every_time_or_turning_halfway_is_seen() -> None:
    p = 0.5
    contrast, saturation = log_normal(p, 0.5), log_normal(p, 1.0)
    always = mutated(colour, "probability / 2", "probability").coloured
    assert not close(seen(GREY, p, always), (1 - p) * contrast * GREY)
    half = mutated(colour, "math.pi * ", "math.pi / 2 * ").coloured
    assert not close(seen(RED, p, half), (1 - p) * contrast * saturation * RED)


def test_spreads_are_those_of_the_paper() -> None:
    """Black shows b and c alone, and a colour's length c and s."""
    p = 0.8
    black = seen(torch.zeros(3), p)
    assert close(black.square(), p * 0.2**2 * log_normal(p, 1.0) * torch.ones(3))  # E[c^2]: 2 k
    grey = black.mean(1, keepdim=True)
    assert torch.allclose(black, grey.expand(-1, 3), atol=1e-6)
    vivid = seen(RED, p)
    octaves = (vivid - vivid.mean(1, keepdim=True)).norm(dim=1).div(RED.norm()).log2()
    assert close(octaves[:, None].square(), torch.tensor([p * (0.5**2 + 1.0**2)]))
    assert close(octaves[:, None], torch.zeros(1))


def test_a_hue_is_turned_about_the_greys_and_lengths_are_kept() -> None:
    turn = colour._TURN
    assert torch.allclose(turn @ torch.ones(3), torch.zeros(3), atol=1e-7)
    assert torch.allclose(turn @ turn, colour._GREYS - torch.eye(3), atol=1e-6)  # a right angle


def test_untouched_images_are_as_frequent_as_the_gates_leave_them() -> None:
    """A luma flip at p / 2; brightness, contrast, hue and saturation at p each."""
    p = 0.3
    images = torch.rand(COUNT, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    same = (coloured(images, p, draws()) == images).flatten(1).all(1).double().mean()
    share = (1 - p / 2) * (1 - p) ** 4
    assert abs(float(same) - share) < 4 * math.sqrt(share * (1 - share) / COUNT)


def test_a_discriminator_sees_other_colours_of_rgb_images_only() -> None:
    """Red without any grey stays so under any geometry: one colour has no place."""
    count = Draws(0, 0, 64, 0, 64)
    red = RED.view(1, 3, 1, 1).expand(64, 3, 8, 8)
    assert (transformed(red, 0.8, count) - red).abs().amax((1, 2, 3)).gt(0.1).sum() > 32
    level = torch.full((64, 1, 8, 8), 0.5)
    assert torch.allclose(transformed(level, 0.8, count), level, atol=1e-5)


def test_gradients_pass_and_narrow_arithmetic_does_not_round_images() -> None:
    images = torch.rand(8, 3, 8, 8, requires_grad=True)
    rows = Draws(0, 0, 8, 0, 8)
    with torch.autocast("cpu", torch.bfloat16):
        made = coloured(images, 0.8, rows)
    assert torch.equal(made, coloured(images, 0.8, rows))
    made.sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
