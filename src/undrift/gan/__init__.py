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

__all__ = [
    "AdaptiveProbability",
    "AdversarialLoss",
    "Hinge",
    "NonSaturating",
    "RelativisticPaired",
    "Wasserstein",
    "interpolated",
    "two_sided",
    "zero_centred",
]
