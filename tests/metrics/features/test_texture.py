"""Texture features: closed forms of their statistics, their unit, and what they must not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from undrift.errors import UsageError
from undrift.metrics.features import texture
from undrift.metrics.features.texture import TextureFeatures

LEVEL = (1 / 255) ** 2


def pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Random blobs of several sizes: images with structure at every scale."""
    draws = np.random.default_rng(seed)
    levels = np.zeros((count, *shape))
    for side in (1, 2, 4):
        coarse = draws.normal(size=(count, shape[0] // side, shape[1] // side, shape[2]))
        levels += (
            coarse.repeat(side, axis=1).repeat(side, axis=2)
            * 12
            * draws.uniform(0.3, 1.5, (count, 1, 1, 1))
        )
    return (128 + levels).clip(0, 255).round().astype(np.uint8)


def test_filters_are_orthonormal_and_blind_to_the_mean():
    filters = texture._filters().reshape(8, 9)
    torch.testing.assert_close(filters @ filters.T, torch.eye(8))
    torch.testing.assert_close(filters.sum(dim=1), torch.zeros(8), atol=1e-6, rtol=0)


def test_energies_of_white_noise_are_its_variance_at_every_scale():
    planes = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = texture._energies(planes).reshape(64, 3, 9)
    for place, scale in enumerate((1, 2, 4)):
        energy = found[:, place, :8].exp().mean().item()
        assert energy == pytest.approx(1 / scale**2, rel=0.05)  # averaging s x s pixels
        sparsity = found[:, place, 8].mean().item()
        assert sparsity == pytest.approx(math.sqrt(2 / math.pi), rel=0.05)  # of a normal


def test_the_spectrum_holds_all_of_the_variance():
    planes = torch.rand(3, 2, 16, 12, generator=torch.Generator().manual_seed(0))
    power = texture._spectrum(planes).exp() - LEVEL
    radius = torch.hypot(torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(12)[None])
    ring = (radius / (math.sqrt(0.5) + 1e-6) * 8).long().flatten()[1:]
    sizes = torch.bincount(ring, minlength=8)
    sizes = sizes[sizes > 0].float()
    total = (power * sizes).sum(dim=2) / (16 * 12)  # Parseval
    torch.testing.assert_close(total, planes.var(dim=(2, 3), correction=0), rtol=1e-4, atol=1e-6)


def test_a_wave_is_in_its_ring_alone():
    x = torch.arange(16.0)
    wave = torch.cos(2 * math.pi * 4 * x / 16).expand(1, 1, 16, 16)
    power = texture._spectrum(wave).exp() - LEVEL
    assert int(power.argmax()) == int(0.25 / math.sqrt(0.5) * 8)
    others = power.flatten().clone()
    others[int(power.argmax())] = 0
    assert others.max() < 1e-5


def test_unit_variance_on_average_not_whitened():
    images = pictures(300, (16, 16, 3))
    found = TextureFeatures.fit(images).features(images)
    assert found.shape == (300, 64)
    variance = found.var(axis=0, ddof=1)
    assert variance.mean() == pytest.approx(1.0, rel=1e-6)
    assert variance[0] > 5 * variance[10]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


def test_colours_under_transparency_are_not_seen_and_alpha_is():
    images = pictures(60, (16, 16, 4))
    images[..., 3] = 255
    images[:, :, :5, 3] = np.random.default_rng(1).integers(0, 2, (60, 16, 5)) * 255
    space = TextureFeatures.fit(images)
    hidden = images.copy()
    hidden[hidden[..., 3] == 0] = (9, 200, 40, 0)
    np.testing.assert_allclose(space.features(hidden), space.features(images), atol=1e-9)
    opaque = images.copy()
    opaque[..., 3] = 255
    assert np.abs(space.features(opaque) - space.features(images)).mean() > 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 1), (6, 40, 2), (150, 130, 3)])
def test_any_size(shape: tuple[int, int, int]):
    images = np.random.default_rng(0).integers(0, 256, (12, *shape), dtype=np.uint8)
    found = TextureFeatures.fit(images).features(images)
    assert found.shape[0] == 12
    assert np.isfinite(found).all()


def test_the_name_is_that_of_the_images_and_nothing_else():
    images = pictures(20, (8, 8, 1))
    name = TextureFeatures.fit(images).name
    assert name == TextureFeatures.fit(images.copy(), seed=3).name
    other = images.copy()
    other[3, 2, 1] ^= 1
    assert TextureFeatures.fit(other).name != name
    assert name.startswith("texture@")


def test_images_that_cannot_be_described_are_refused():
    images = pictures(20, (8, 8, 1))
    with pytest.raises(UsageError, match="all the same"):
        TextureFeatures.fit(np.zeros((5, 8, 8, 1), np.uint8))
    with pytest.raises(UsageError, match="at least 2"):
        TextureFeatures.fit(images[:1])
    with pytest.raises(UsageError, match="fitted on uint8"):
        TextureFeatures.fit(images).features(images[:, :4])
