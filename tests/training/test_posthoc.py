from __future__ import annotations

import math

import pytest
import torch

from undrift.errors import UsageError
from undrift.training.ema import PowerEMA, gamma_of
from undrift.training.posthoc import Profile, reconstruct

TRACKS = (0.05, 0.1)


def profiles(images: int, count: int = 32) -> list[Profile]:
    return [
        Profile(images * (i + 1) // count, sigma_rel) for i in range(count) for sigma_rel in TRACKS
    ]


def density(profile: Profile, times: torch.Tensor) -> torch.Tensor:
    gamma = gamma_of(profile.sigma_rel)
    inside = (gamma + 1) * times**gamma / profile.images ** (gamma + 1)
    return torch.where(times <= profile.images, inside, 0)


@pytest.mark.parametrize("sigma_rel", [0.03, 0.07, 0.2])
def test_the_stated_error_is_that_of_the_profile(sigma_rel: float) -> None:
    snapshots = profiles(32_000, 16)
    mix = reconstruct(snapshots, sigma_rel)
    times = (torch.arange(200_000, dtype=torch.float64) + 0.5) * 32_000 / 200_000
    wanted = density(Profile(32_000, sigma_rel), times)
    found = sum(
        x * density(snapshot, times)
        for x, snapshot in zip(mix.coefficients.tolist(), snapshots, strict=True)
    )
    numeric = float((found - wanted).norm() / wanted.norm())
    assert mix.error == pytest.approx(numeric, rel=1e-3)


def test_no_neighbouring_mix_is_better() -> None:
    snapshots = profiles(32_000, 8)
    mix = reconstruct(snapshots, 0.07)
    times = (torch.arange(50_000, dtype=torch.float64) + 0.5) * 32_000 / 50_000
    basis = torch.stack([density(snapshot, times) for snapshot in snapshots])
    wanted = density(Profile(32_000, 0.07), times)
    best = (mix.coefficients @ basis - wanted).norm()
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        nudge = torch.randn(len(snapshots), generator=generator, dtype=torch.float64)
        nudge -= nudge.mean()  # the sum stays 1
        assert ((mix.coefficients + 1e-3 * nudge) @ basis - wanted).norm() > best


@pytest.mark.parametrize("sigma_rel", [0.05, 0.06, 0.07, 0.08, 0.1, 0.12])
def test_lengths_between_the_tracks_are_nearly_exact(sigma_rel: float) -> None:
    mix = reconstruct(profiles(10**6), sigma_rel)
    assert mix.error < 2e-3
    assert float(mix.coefficients.sum()) == pytest.approx(1, abs=1e-12)


def test_a_tracked_length_is_exact() -> None:
    snapshots = profiles(32_000)
    for sigma_rel in TRACKS:
        for images in (32_000, 16_000):
            mix = reconstruct(snapshots, sigma_rel, images)
            wanted = [float(s == Profile(images, sigma_rel)) for s in snapshots]
            assert mix.coefficients.tolist() == wanted and mix.error == 0


def test_images_have_no_unit() -> None:
    few, many = reconstruct(profiles(3_200), 0.07), reconstruct(profiles(3_200_000_000), 0.07)
    assert torch.allclose(few.coefficients, many.coefficients, rtol=1e-6, atol=1e-9)


def test_a_reconstructed_average_is_the_tracked_one() -> None:
    steps, batch, width = 1600, 50, 2000
    generator = torch.Generator().manual_seed(0)
    weight = torch.full((width,), 7.0)
    others = (0.03, 0.07, 0.15, 0.2)
    ema = PowerEMA({"weight": weight}, (*TRACKS, *others))
    snapshots, stored = [], []
    for step in range(1, steps + 1):
        weight += torch.randn(width, generator=generator)
        ema.update(step * batch)
        if step % (steps // 32) == 0:
            for sigma_rel in TRACKS:
                snapshots.append(Profile(step * batch, sigma_rel))
                stored.append(ema.weights(sigma_rel)["weight"].double())
    table = torch.stack(stored)
    for sigma_rel in others:
        direct = ema.weights(sigma_rel)["weight"].double()
        scale = (direct - weight.double()).norm()
        coefficients = reconstruct(snapshots, sigma_rel).coefficients
        assert (coefficients @ table - direct).norm() < 2e-3 * scale
        # Controls: coefficients in another order, and the nearer track in place of the mix.
        assert (coefficients.flip(0) @ table - direct).norm() > 0.1 * scale
        nearest = min(table[-2:], key=lambda tracked: float((tracked - direct).norm()))
        assert (nearest - direct).norm() > 0.03 * scale


def test_an_earlier_end() -> None:
    snapshots = profiles(32_000)
    earlier = reconstruct(snapshots, 0.07, 16_000)
    assert earlier.error < 4e-3
    assert not torch.allclose(earlier.coefficients, reconstruct(snapshots, 0.07).coefficients)


@pytest.mark.parametrize(
    ("sigma_rel", "at"), [(0.07, 0), (0.07, 32_001), (0.005, None), (0.3, None)]
)
def test_what_cannot_be_made_is_refused(sigma_rel: float, at: int | None) -> None:
    with pytest.raises(UsageError, match="EMA"):
        reconstruct(profiles(32_000), sigma_rel, at)


def test_no_snapshots() -> None:
    with pytest.raises(UsageError, match="snapshots"):
        reconstruct([], 0.07)


def test_one_snapshot_stands_only_for_itself() -> None:
    only = [Profile(100, 0.1)]
    assert reconstruct(only, 0.1).coefficients.tolist() == [1.0]
    with pytest.raises(UsageError, match="cannot be made"):
        reconstruct(only, 0.05)
    near = reconstruct(only, 0.099)
    assert near.coefficients.tolist() == [1.0] and 0 < near.error < 0.02
    assert not math.isnan(near.error)
