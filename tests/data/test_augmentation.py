"""Augmentation: parameters say what was done, zeros mean untouched, keyed by its draws."""

from __future__ import annotations

import math

import pytest
import torch

from undrift.codec import Codec, Identity, Standardise
from undrift.data.augmentation import PARAMETERS, Augmentation, flip_half, resampled, shifted
from undrift.randomness import Draws

NOTHING = Augmentation(1.0, False, False, 0.0, 0.0, 0.0, 0.0)


def draws(count: int, step: int = 0) -> Draws:
    return Draws(seed=0, step=step, total=count, start=0, stop=count)


def images(count: int, height: int = 12, width: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def only(**chosen: float | bool) -> Augmentation:
    from dataclasses import replace

    return replace(NOTHING, **chosen)


def test_zero_parameters_are_untouched_to_the_bit() -> None:
    x = images(400)
    y, parameters = Augmentation()(x, draws(400))
    untouched = (parameters == 0).all(dim=1)
    # Each of seven gates opens with 0.12 or not at all (flip_y): (1 - 0.12)^5 of 400 = 211.
    assert abs(int(untouched.sum()) - 400 * 0.88**5) < 4 * math.sqrt(400 * 0.25)
    assert torch.equal(y[untouched], x[untouched])
    changed = (y != x).flatten(1).any(dim=1)
    assert torch.equal(changed, ~untouched)
    assert parameters.shape == (400, PARAMETERS) and parameters.dtype == torch.float32


def test_off_means_off() -> None:
    x = images(20)
    for quiet in (NOTHING, Augmentation(probability=0.0)):
        y, parameters = quiet(x, draws(20))
        assert torch.equal(y, x) and not parameters.any()


def test_flips_are_told() -> None:
    x = images(4)
    y, parameters = only(flip_x=True)(x, draws(4))
    assert torch.equal(y, x.flip(-1))
    assert torch.equal(parameters, torch.eye(PARAMETERS)[:1].expand(4, -1))
    y, parameters = only(flip_y=True)(x, draws(4))
    assert torch.equal(y, x.flip(-2)) and (parameters[:, 1] == 1).all()


def test_shifts_are_whole_pixels_and_told() -> None:
    x = images(30)
    y, parameters = only(shift=0.25)(x, draws(30))
    assert not parameters[:, [0, 1, 4, 5, 6, 7]].any()
    right, down = parameters[:, 2] * 16, parameters[:, 3] * 12
    assert right.abs().max() > 2 and right.abs().max() <= 4 and down.abs().max() <= 3
    for before, after, i, j in zip(x, y, right, down, strict=True):
        dx, dy = round(float(i)), round(float(j))
        assert math.isclose(dx, float(i), abs_tol=1e-5)
        inside = after[:, max(dy, 0) : 12 + min(dy, 0), max(dx, 0) : 16 + min(dx, 0)]
        source = before[:, max(-dy, 0) : 12 + min(-dy, 0), max(-dx, 0) : 16 + min(-dx, 0)]
        assert torch.equal(inside, source)


def test_shifts_reflect_at_the_edge() -> None:
    row = torch.arange(4.0).view(1, 1, 1, 4)
    assert shifted(row, torch.tensor([2]), dim=-1).flatten().tolist() == [1, 0, 0, 1]
    assert shifted(row, torch.tensor([-1]), dim=-1).flatten().tolist() == [1, 2, 3, 3]


def smooth(height: int, width: int) -> torch.Tensor:
    """A blob off the centre: (1, 1, H, W)."""
    y, x = torch.meshgrid(torch.arange(height) - 6.0, torch.arange(width) - 13.0, indexing="ij")
    return torch.exp(-(x**2 + y**2) / 18)[None, None].double()


def centre_of_mass(image: torch.Tensor) -> tuple[float, float]:
    """(right, down) from the middle, in pixels."""
    height, width = image.shape[-2:]
    y = torch.arange(height) - (height - 1) / 2
    x = torch.arange(width) - (width - 1) / 2
    mass = image[0, 0] / image.sum()
    return float((mass.sum(0) * x).sum()), float((mass.sum(1) * y).sum())


@pytest.mark.parametrize(
    ("octaves", "angle", "ratio", "matrix"),
    [
        (0.0, math.pi / 2, 0.0, ((0, -1), (1, 0))),
        (0.0, 0.4, 0.0, ((math.cos(0.4), -math.sin(0.4)), (math.sin(0.4), math.cos(0.4)))),
        (-0.5, 0.0, 0.0, ((2**-0.5, 0), (0, 2**-0.5))),
        (0.0, 0.0, 0.6, ((2**0.3, 0), (0, 2**-0.3))),
    ],
)
def test_resampling_moves_things_where_its_parameters_say(
    octaves: float, angle: float, ratio: float, matrix: tuple[tuple[float, float], ...]
) -> None:
    # Not square: a wrong aspect would shear the rotation.
    image = torch.nn.functional.pad(smooth(24, 36), (12, 12, 12, 12))
    one = torch.tensor([1.0], dtype=torch.float64)
    moved = resampled(image, octaves * one, angle * one, ratio * one)
    x, y = centre_of_mass(image)
    expected = [row[0] * x + row[1] * y for row in matrix]
    assert centre_of_mass(moved) == pytest.approx(expected, abs=0.05)


def test_parameters_of_the_resampling() -> None:
    _, parameters = only(scale=0.2, rotate=1.0, stretch=0.3)(images(2000), draws(2000))
    octaves, cos, sin, ratio = parameters[:, 4:].double().T
    assert float(octaves.std()) == pytest.approx(0.2, rel=0.1)
    assert float(ratio.std()) == pytest.approx(0.3, rel=0.1)
    assert torch.allclose((cos + 1) ** 2 + sin**2, torch.ones(2000).double(), atol=1e-5)
    assert float(cos.min()) < -1.99


def test_narrow_arithmetic_moves_no_pixels() -> None:
    """The grid has float32's coordinates under autocast, and for narrow images too."""
    x = images(64)
    augment = Augmentation(probability=0.8)
    narrow = x.bfloat16()
    exact, rounded = (augment(pixels, draws(64))[0] for pixels in (x, narrow.float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(x, draws(64))[0], exact)
        assert torch.equal(augment(narrow, draws(64))[0], rounded)


def test_draws_name_the_outcome() -> None:
    x = images(8)
    augment = Augmentation(probability=0.5)
    y, parameters = augment(x, draws(8))
    again, _ = augment(x, draws(8))
    other, _ = augment(x, draws(8, step=1))
    assert torch.equal(y, again) and not torch.equal(y, other)
    # A rank or micro-batch sees its rows of the whole batch.
    part, told = augment(x[3:6], Draws(seed=0, step=0, total=8, start=3, stop=6))
    assert torch.equal(part, y[3:6]) and torch.equal(told, parameters[3:6])


def test_plain_flips_are_half_and_half() -> None:
    x = images(1000, 4, 4)
    y = flip_half(x, draws(1000))
    flipped = (y == x.flip(-1)).flatten(1).all(dim=1)
    assert torch.equal(y[~flipped], x[~flipped])
    assert abs(int(flipped.sum()) - 500) < 4 * math.sqrt(250)


@pytest.mark.parametrize("codec", [Identity(), Standardise([90.0, 3.5, 200.0], [7.0, 61.3, 2.9])])
def test_flipped_pixels_are_encoded_as_flipped_encodings_bit_for_bit(codec: Codec) -> None:
    pixels = torch.randint(256, (32, 3, 5, 7), dtype=torch.uint8)
    before = codec.encode(flip_half(pixels, draws(32)))
    after = flip_half(codec.encode(pixels), draws(32))
    assert torch.equal(before, after) and not torch.equal(before, codec.encode(pixels))
