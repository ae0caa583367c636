"""Classifiers of noisy images, which guide diffusion models."""

from undrift.families.classifier.family import ClassifierFamily

__all__ = ["ClassifierFamily"]
