"""Noise belongs to (seed, image, purpose, step) and to nothing else."""

from __future__ import annotations

import itertools

import pytest
import torch

from undrift.sampling import ImageNoise

SHAPE = (1, 4, 4)


def test_noise_does_not_depend_on_the_batch():
    whole = ImageNoise(7, range(8))
    for rows in ([3], [7, 0], range(2, 5)):
        part = ImageNoise(7, rows)
        picked = list(rows)
        assert torch.equal(part.initial(SHAPE), whole.initial(SHAPE)[picked])
        assert torch.equal(part.step(5, SHAPE), whole.step(5, SHAPE)[picked])


def test_asking_twice_or_in_another_order_changes_nothing():
    noise = ImageNoise(7, range(2))
    later, first = noise.step(1, SHAPE), noise.step(0, SHAPE)
    assert torch.equal(noise.step(0, SHAPE), first)
    assert torch.equal(noise.step(1, SHAPE), later)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    wanted = torch.randn(3)
    torch.manual_seed(0)
    ImageNoise(7, range(2)).initial(SHAPE)
    assert torch.equal(torch.randn(3), wanted)


def test_every_part_of_the_name_counts():
    """Leaving the seed, the image, the purpose or the step out of the key makes two draws equal."""
    draws = [
        ImageNoise(seed, [image]).step(step, SHAPE, purpose)
        for seed, image, purpose, step in itertools.product((0, 1), (0, 1), ("a", "b"), (0, 1))
    ]
    draws.append(ImageNoise(0, [0]).initial(SHAPE))
    for one, other in itertools.combinations(draws, 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize("of", ["initial", "step"])
def test_noise_is_standard_normal(of):
    noise, shape = ImageNoise(0, range(50)), (1, 20, 20)
    noise = (noise.initial(shape) if of == "initial" else noise.step(3, shape)).double()
    count = noise.numel()
    assert noise.dtype == torch.float64
    assert abs(float(noise.mean())) < 4 / count**0.5
    assert abs(float(noise.var()) - 1) < 4 * (2 / count) ** 0.5


def test_a_value_is_pinned():
    """Same seed, same image, next year: a change here breaks everybody's seeds."""
    made = ImageNoise(0, [0]).initial((4,))
    wanted = torch.tensor([[-0.1485375, -0.9571370, 1.6149980, 1.0646349]])
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-6)
    made = ImageNoise(0, [0]).step(2, (4,))
    wanted = torch.tensor([[0.4631644, -0.5200752, -0.0036976, 1.2487746]])
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-6)
