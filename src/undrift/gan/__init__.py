"""Adversarial training: losses, gradient penalties, adaptive augmentation; and inversion."""

from undrift.gan.augmentation import AdaptiveProbability
from undrift.gan.inversion import Descent, Shortlist, descend
from undrift.gan.latent_space import LatentSpace, latent_space
from undrift.gan.losses import (
    AdversarialLoss,
    Hinge,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
)
from undrift.gan.penalties import interpolated, two_sided, zero_centred
from undrift.gan.transformation import transformed, transformed_with_maps

__all__ = [
    "AdaptiveProbability",
    "AdversarialLoss",
    "Descent",
    "Hinge",
    "LatentSpace",
    "NonSaturating",
    "RelativisticPaired",
    "Shortlist",
    "Wasserstein",
    "descend",
    "interpolated",
    "latent_space",
    "transformed",
    "transformed_with_maps",
    "two_sided",
    "zero_centred",
]
