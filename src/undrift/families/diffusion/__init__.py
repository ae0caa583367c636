"""Diffusion models as a family."""

from undrift.families.diffusion.family import DiffusionFamily

__all__ = ["DiffusionFamily"]
