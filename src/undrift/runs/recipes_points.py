"""Recipes for points: images with fewer than 4 pixels on the short side, for perceptrons.

A point has no neighbours, so convolutions, patches and whatever moves an image have no meaning for
it. Every GAN keeps its own loss, kind of penalty and betas, and plays on perceptrons.
"""

from __future__ import annotations

import math
from dataclasses import replace

from undrift.diffusion import LogNormal
from undrift.errors import UsageError
from undrift.networks import MLPConfig
from undrift.networks.gan import MLPGANConfig, SNGANConfig, StyleGAN2Config
from undrift.runs.recipe import Recipe
from undrift.runs.settings import TrainSettings, flag
from undrift.training.learners.gan_config import GANConfig
from undrift.training.optimizers import AdamWConfig, MuonConfig
from undrift.wording import dimensions

BATCH = 256
"""Points of the global batch, of every method."""

WAVES = (1.0, 2.0, 4.0, 8.0)
"""Angular frequencies of the waves of its input that a diffusion model hears.

The data's deviation is 1 there. With them 94 % of the points were of high quality where without
them 89 % were (docs/log.md).
"""

GAN_WAVES = tuple(math.pi * 2**octave for octave in range(4))
"""The same for a discriminator, to which the box is [-1, 1]: the slowest goes through it once."""

IMAGES = 2_000_000
"""Points to train on in all on a CPU where nobody says: half a minute of one core."""


def check_points(settings: TrainSettings, size: tuple[int, int]) -> None:
    """Refuse what moves pixels, and networks that look at neighbours.

    Raises:
        UsageError: if that is asked for.
    """
    what = f"images of {dimensions(*size)} are points"
    for name in ("flip", "augment"):
        if getattr(settings, name):
            raise UsageError(f"{flag(name)}: {what}, which it would move; leave it out")
    if settings.network not in (None, "mlp"):
        raise UsageError(
            f"--network {settings.network}: {what}, without neighbours to look at; give mlp or "
            "leave it out"
        )


def points_recipe(device: str) -> Recipe:
    """The recipe of a diffusion model of points."""
    return Recipe(
        MLPConfig(width=64, fourier=WAVES),
        MuonConfig(learning_rate=1e-2, rest=AdamWConfig(learning_rate=5e-3)),
        batch_size=BATCH,
        images=10_000_000 if device == "cuda" else IMAGES,
        levels=LogNormal(mean=-1.0, std=1.3),
        rho=5.0,
        # what has no mean needs no more noise to start from, and steps cost little
        sigma_max=20.0,
        steps=40,
    )


def on_perceptrons(model: GANConfig, *, points: bool) -> GANConfig:
    """``model`` with perceptrons in place of its networks.

    What a method's discriminator has beside its layers stays: spectral norm, or the spread of the
    minibatch. Batch norm does not, see `undrift.networks.gan.mlp`.

    Args:
        model: of the method.
        points: whether it is for points: there networks are small, hear waves, and augment nothing.
    """
    match model.network:
        case SNGANConfig(spectral_norm=bounded):
            network = MLPGANConfig(spectral_norm=bounded)
        case StyleGAN2Config(group=group):
            network = MLPGANConfig(group=group)
        case _:
            network = MLPGANConfig()
    if not points:
        return replace(model, network=network)
    # Two latent numbers for two coordinates: with 64, R3GAN had no mode after 3,000 updates.
    network = replace(network, width=64, layers=3, latent=2, fourier=GAN_WAVES)
    return replace(model, network=network, adapt=0)
