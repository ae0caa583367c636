"""Diffusion models as pipelines: noise, a solver and a denoiser make images."""

from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.diffusion.settings import (
    DiffusionEditing,
    DiffusionInpainting,
    DiffusionSettings,
)

__all__ = ["DiffusionEditing", "DiffusionInpainting", "DiffusionPipeline", "DiffusionSettings"]
