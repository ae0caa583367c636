"""Pipelines: trained models that draw images, save and load."""

from __future__ import annotations

from undrift.pipelines.classifier import ClassifierPipeline
from undrift.pipelines.diffusion import DiffusionPipeline
from undrift.pipelines.folder import SampleFolder
from undrift.pipelines.gan import GANPipeline
from undrift.pipelines.grid import image_grid
from undrift.pipelines.labels import Labels, resolve_labels
from undrift.pipelines.load import PIPELINES
from undrift.pipelines.pipeline import Dial, Pipeline
from undrift.pipelines.progress import OnProgress, Progress
from undrift.pipelines.samples import Samples, Trajectory
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.student import StudentPipeline
from undrift.pipelines.writing import write_samples

__all__ = [
    "PIPELINES",
    "ClassifierPipeline",
    "Dial",
    "DiffusionPipeline",
    "GANPipeline",
    "Labels",
    "OnProgress",
    "Pipeline",
    "Progress",
    "SampleFolder",
    "SampleSpec",
    "Samples",
    "StudentPipeline",
    "Trajectory",
    "image_grid",
    "resolve_labels",
    "write_samples",
]
