"""Recipes for points: images with fewer than 4 pixels on the short side, for perceptrons.

A point has no neighbours, so convolutions, patches and whatever moves an image have no meaning for
it. Every GAN keeps its own loss, kind of penalty and betas, and plays on perceptrons.
"""

from __future__ import annotations

from dataclasses import replace

from undrift.diffusion import LogNormal
from undrift.errors import UsageError
from undrift.networks import MLPConfig
from undrift.networks.gan import MLPGANConfig, SNGANConfig, StyleGAN2Config
from undrift.runs.recipe import Recipe
from undrift.runs.settings import TrainSettings, flag
from undrift.training.learners.gan_config import GANConfig
from undrift.training.optimizers import AdamWConfig, MuonConfig

BATCH = 256
"""Points of the global batch, of every method."""

WAVES = (1.0, 2.0, 4.0, 8.0)
"""Angular frequencies of the waves that a network hears of its input."""


def images(device: str) -> int:
    """Points to train on in all where nobody says."""
    return 10_000_000 if device == "cuda" else 1_000_000


def check_points(settings: TrainSettings, size: tuple[int, int]) -> None:
    """Refuse what moves pixels, and networks that look at neighbours.

    Raises:
        UsageError: if that is asked for.
    """
    what = f"images of {size[0]}x{size[1]} are points"
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
        images=images(device),
        levels=LogNormal(mean=-1.0, std=1.3),
        rho=5.0,
        # what has no mean needs no more noise to start from, and steps cost little
        sigma_max=20.0,
        steps=40,
    )


def on_perceptrons(model: GANConfig) -> GANConfig:
    """``model`` with perceptrons in place of its networks.

    What a method's discriminator has beside its layers stays: spectral norm, or the spread of the
    minibatch. Batch norm does not, see `undrift.networks.gan.mlp`.
    """
    match model.network:
        case SNGANConfig(spectral_norm=bounded):
            network = MLPGANConfig(spectral_norm=bounded)
        case StyleGAN2Config(group=group):
            network = MLPGANConfig(group=group)
        case _:
            network = MLPGANConfig()
    return replace(model, network=network)
