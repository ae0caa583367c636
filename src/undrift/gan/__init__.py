"""Adversarial training: losses, gradient penalties, adaptive augmentation."""

from undrift.gan.augmentation import AdaptiveProbability
from undrift.gan.losses import (
    AdversarialLoss,
    Hinge,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
)
from undrift.gan.penalties import interpolated, two_sided, zero_centred
from undrift.gan.transformation import transformed

__all__ = [
    "AdaptiveProbability",
    "AdversarialLoss",
    "Hinge",
    "NonSaturating",
    "RelativisticPaired",
    "Wasserstein",
    "interpolated",
    "transformed",
    "two_sided",
    "zero_centred",
]
