"""What a discriminator sees: shares of mirrored images; matching it means matching the data."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.gan import transformation, transformed, transformed_with_maps
from undrift.gan.transformation import mirrored
from undrift.randomness import Draws

COUNT = 4000


def draws() -> Draws:
    return Draws(0, 0, COUNT, 0, COUNT)


def odd() -> torch.Tensor:
    """One image that is odd about its middle, many times."""
    return torch.linspace(-1, 1, 8).expand(COUNT, 1, 8, 8).clone()


@pytest.mark.parametrize("p", [0.25, 0.5, 0.8])
def test_what_is_odd_about_the_middle_is_left_with_1_minus_p(p: float) -> None:
    """The eigenvalue of eq. (2); where it is 0, images and their mirror images are one."""
    mean = float((mirrored(odd(), p, draws()) * odd()).mean() / odd().square().mean())
    error = math.sqrt(p * (2 - p) / COUNT)  # 2 sqrt(q (1 - q) / n) at q = p / 2
    assert abs(mean - (1 - p)) < 4 * error


def test_mirroring_every_time_is_seen() -> None:
    wrong = mutated(transformation, "< probability / 2", "< probability")
    mean = (wrong.mirrored(odd(), 0.5, draws()) * odd()).mean() / odd().square().mean()
    assert abs(float(mean)) < 0.07  # not the 0.5 that is left of them otherwise


def test_untouched_images_are_as_frequent_as_five_gates_leave_them() -> None:
    """Mirror at p / 2; shift, scale, rotation and stretch at p each."""
    p = 0.3
    images = torch.randn(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    same = (transformed(images, p, draws()) == images).flatten(1).all(1).double().mean()
    # a shift by less than half a pixel is none: |u| < 1/2 of the 1 pixel that is the most, twice
    share = (1 - p / 2) * (1 - p) ** 3 * (1 - p + p / 4)
    assert abs(float(same) - share) < 4 * math.sqrt(share * (1 - share) / COUNT)


def test_a_probability_of_0_changes_nothing_and_gradients_pass() -> None:
    images = torch.randn(COUNT, 1, 8, 8).requires_grad_()
    assert transformed(images, 0.0, draws()) is images
    transformed(images, 0.8, draws()).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_maps_move_with_their_images_and_keep_their_values() -> None:
    """The map of an image that is the image itself stays it; colours change of the image alone."""
    few = Draws(0, 0, 64, 0, 64)
    grey = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    images, maps = transformed_with_maps(grey, grey.repeat(1, 2, 1, 1), 0.8, few)
    assert images.equal(transformed(grey, 0.8, few)) and not images.equal(grey)
    assert maps.equal(images.repeat(1, 2, 1, 1))
    colours, maps = transformed_with_maps(grey.repeat(1, 3, 1, 1), grey, 0.8, few)
    assert maps.equal(images) and not torch.allclose(colours[:, :1], images)
    assert transformed_with_maps(grey, grey, 0.0, few) == (grey, grey)
