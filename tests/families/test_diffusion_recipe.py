"""Networks by size of image, device and budget."""

from __future__ import annotations

import pytest

from undrift.families.diffusion.recipe import LONG, MOST_POSITIONS, recipe_for
from undrift.families.grid import SMALL, TINY, grid_for
from undrift.networks import UNetConfig

SIDES = (8, 12, 13, 28, 32, 40, 41, 64, 80, 81, 96, 128, 160, 161, 256, 512, 1000)


def unet(side: int, device: str = "cpu", budget: float | None = None) -> UNetConfig:
    network = recipe_for(side, device, None, budget).network
    assert isinstance(network, UNetConfig)
    return network


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_patches_are_as_small_as_the_number_of_positions_allows(side: int, device: str) -> None:
    patch = unet(side, device).patch
    assert side / patch <= MOST_POSITIONS
    assert patch == 1 or side / (patch // 2) > MOST_POSITIONS


def test_small_images_have_a_level_at_full_resolution() -> None:
    # with patches of 2 textures stay static for as long as a CPU trains in minutes, docs/log.md
    assert {unet(side).patch for side in SIDES if side <= MOST_POSITIONS} == {1}


@pytest.mark.parametrize("side", SIDES)
def test_more_time_and_faster_devices_get_wider_networks(side: int) -> None:
    widths = [unet(side).width, unet(side, budget=LONG).width, unet(side, "cuda").width]
    assert widths == sorted(widths)
    assert widths[0] < widths[1]
    assert unet(side, budget=LONG - 1) == unet(side)


def test_few_images_are_taken_in_small_batches() -> None:
    # 64x64, 3 minutes of two cores: 357 updates of 64 or 1,429 of 16, docs/log.md
    batches = [recipe_for(64, "cpu", None, budget).batch_size for budget in (180.0, LONG, None)]
    assert batches == [16, 32, 32]
    assert recipe_for(32, "cpu", None, 180.0).batch_size == 64
    assert recipe_for(64, "cuda", None, 180.0).batch_size == 256


def test_short_trainings_do_not_sample_from_noise_that_they_have_not_learned() -> None:
    for side in SIDES:
        short, fast = (grid_for(side, to, None, points=False) for to in ("cpu", "cuda"))
        assert short.sigma_min == 0.05
        assert (fast.sigma_min < 0.05) == (side > SMALL)
        assert (short.rho == 3.0) == (side <= TINY)
