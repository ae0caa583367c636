from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from undrift.errors import ModelFileError, UsageError
from undrift.training.ema import (
    LARGEST_SIGMA_REL,
    PowerEMA,
    gamma_of,
    sigma_rel_of,
    track_name,
)

LENGTHS = [1e-3, 0.01, 0.05, 0.1, 0.2, 0.28, LARGEST_SIGMA_REL]


@pytest.mark.parametrize("sigma_rel", LENGTHS)
def test_gamma_is_the_inverse_of_sigma_rel(sigma_rel: float) -> None:
    assert sigma_rel_of(gamma_of(sigma_rel)) == pytest.approx(sigma_rel, rel=1e-12)


def test_gamma_is_the_published_one() -> None:
    # Karras et al. 2024, section 3.1: gamma = 16.97 and 6.94 for sigma_rel = 0.05 and 0.10.
    assert gamma_of(0.05) == pytest.approx(16.97, abs=0.005)
    assert gamma_of(0.10) == pytest.approx(6.94, abs=0.005)


@pytest.mark.parametrize("sigma_rel", [0.02, 0.05, 0.1, 0.25])
def test_sigma_rel_is_the_standard_deviation_of_the_profile(sigma_rel: float) -> None:
    gamma = gamma_of(sigma_rel)
    time = (np.arange(200_000) + 0.5) / 200_000
    density = (gamma + 1) * time**gamma
    mean = np.mean(density * time)
    assert np.mean(density) == pytest.approx(1, rel=1e-6)
    assert math.sqrt(np.mean(density * (time - mean) ** 2)) == pytest.approx(sigma_rel, rel=1e-6)


@pytest.mark.parametrize("sigma_rel", [0.0, -0.1, 5e-324, 0.29, math.nan, math.inf])
def test_impossible_lengths_are_refused(sigma_rel: float) -> None:
    with pytest.raises(UsageError, match="EMA length"):
        gamma_of(sigma_rel)


def walk(steps: int, seed: int = 0) -> tuple[torch.Tensor, list[int]]:
    """A random walk of the weights, float64 (steps, 5), and images seen after each uneven step."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(steps, 5, generator=generator, dtype=torch.float64).cumsum(0)
    batches = torch.randint(1, 200, (steps,), generator=generator)
    return values, batches.cumsum(0).tolist()


def integral(values: torch.Tensor, images: list[int], exponent: float) -> torch.Tensor:
    """Definition (1) for piecewise constant weights: profile mass of each interval, then a sum."""
    edges = torch.tensor([0, *images], dtype=torch.float64) / images[-1]
    mass = edges[1:] ** exponent - edges[:-1] ** exponent
    return mass @ values


def track(values: torch.Tensor, images: list[int], sigma_rels: tuple[float, ...]) -> PowerEMA:
    weight = torch.zeros(5)
    ema = PowerEMA({"weight": weight}, sigma_rels)
    for value, seen in zip(values, images, strict=True):
        weight.copy_(value)
        ema.update(seen)
    return ema


@pytest.mark.parametrize("sigma_rel", [0.02, 0.1, 0.25])
def test_updates_are_the_integral(sigma_rel: float) -> None:
    values, images = walk(400)
    averaged = track(values, images, (sigma_rel,)).weights(sigma_rel)["weight"].double()
    scale = values.std()
    gamma = gamma_of(sigma_rel)
    assert (averaged - integral(values, images, gamma + 1)).abs().max() < 1e-5 * scale
    # Control: the exponent of the density instead of that of the mass.
    assert (averaged - integral(values, images, gamma)).abs().max() > 1e-3 * scale


def test_tracks_do_not_influence_each_other() -> None:
    values, images = walk(50)
    both = track(values, images, (0.05, 0.1))
    for sigma_rel in (0.05, 0.1):
        alone = track(values, images, (sigma_rel,))
        assert torch.equal(both.weights(sigma_rel)["weight"], alone.weights(sigma_rel)["weight"])


def test_initial_weights_drop_out() -> None:
    weight = torch.full((3,), 1e30)
    ema = PowerEMA({"weight": weight})
    weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    ema.update(64)
    assert torch.equal(ema.weights(0.05)["weight"], weight)


def test_weights_that_stand_still_are_unchanged() -> None:
    weight = torch.randn(100, generator=torch.Generator().manual_seed(0))
    ema = PowerEMA({"weight": weight})
    for step in range(1, 300):
        ema.update(16 * step)
    assert torch.equal(ema.weights(0.1)["weight"], weight)


def test_small_batches_late_in_a_long_run_still_count() -> None:
    weight = torch.zeros(1)
    ema = PowerEMA({"weight": weight}, (0.1,))
    ema.update(10**9)
    weight.fill_(1.0)
    ema.update(10**9 + 1)
    wanted = (gamma_of(0.1) + 1) * 1e-9
    assert ema.weights(0.1)["weight"].item() == pytest.approx(wanted, rel=1e-6)


def test_types_formats_and_sources() -> None:
    convolution = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    tensors = {
        "weight": convolution.weight,
        "half": torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        "count": torch.tensor(3),
    }
    before = convolution.weight.detach().clone()
    ema = PowerEMA(tensors, (0.1,))
    ema.update(8)
    tensors["count"] += 1
    averaged = ema.weights(0.1)
    assert averaged["weight"].is_contiguous(memory_format=torch.channels_last)
    assert averaged["half"].dtype == torch.float32
    assert averaged["count"].item() == 4
    assert not averaged["weight"].requires_grad
    averaged["weight"].zero_()
    assert torch.equal(convolution.weight, before)


def test_a_resumed_average_is_bit_equal() -> None:
    values, images = walk(60)
    whole = track(values, images, (0.05, 0.1)).state()
    for cut in (1, 17, 59):
        first = track(values[:cut], images[:cut], (0.05, 0.1)).state()
        saved = {name: tensor.clone() for name, tensor in first.items()}
        weight = torch.zeros(5)
        second = PowerEMA({"weight": weight}, (0.05, 0.1))
        second.load_state(saved)
        for value, seen in zip(values[cut:], images[cut:], strict=True):
            weight.copy_(value)
            second.update(seen)
        resumed = second.state()
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("forgotten", ["images", "0.05/weight"])
def test_every_part_of_the_state_is_needed(forgotten: str) -> None:
    values, images = walk(60)
    whole = track(values, images, (0.05,)).state()
    state = track(values[:30], images[:30], (0.05,)).state()
    resumed = PowerEMA({"weight": (weight := torch.zeros(5))}, (0.05,))
    with pytest.raises(ModelFileError, match=forgotten):
        resumed.load_state({name: value for name, value in state.items() if name != forgotten})
    resumed.load_state({**state, forgotten: torch.zeros_like(state[forgotten])})
    for value, seen in zip(values[30:], images[30:], strict=True):
        weight.copy_(value)
        resumed.update(seen)
    assert not torch.equal(resumed.state()["0.05/weight"], whole["0.05/weight"])


def test_a_state_of_another_network_is_refused() -> None:
    ema = PowerEMA({"weight": torch.zeros(5)})
    other = PowerEMA({"weight": torch.zeros(6)}).state()
    with pytest.raises(ModelFileError, match="shape"):
        ema.load_state(other)
    with pytest.raises(ModelFileError, match="unknown"):
        ema.load_state({**ema.state(), "0.05/bias": torch.zeros(1)})


def test_misuse() -> None:
    ema = PowerEMA({"weight": torch.zeros(5)})
    ema.update(8)
    with pytest.raises(ValueError, match="must grow"):
        ema.update(8)
    with pytest.raises(UsageError, match=r"tracks 0\.05, 0\.1"):
        ema.weights(0.2)
    with pytest.raises(UsageError, match="each once"):
        PowerEMA({}, (0.1, 0.1))
    assert track_name(0.10) == "0.1"
