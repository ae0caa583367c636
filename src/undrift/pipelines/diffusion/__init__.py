"""Diffusion models as pipelines: noise, a solver and a denoiser make images."""

from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.diffusion.settings import DiffusionInpainting, DiffusionSettings

__all__ = ["DiffusionInpainting", "DiffusionPipeline", "DiffusionSettings"]
