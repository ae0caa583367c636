"""The families whose pipelines can be loaded: from a file's kind to its class."""

from __future__ import annotations

from undrift.pipelines.adapter import AdapterPipeline
from undrift.pipelines.classifier import ClassifierPipeline
from undrift.pipelines.diffusion import DiffusionPipeline
from undrift.pipelines.gan import GANPipeline
from undrift.pipelines.pipeline import Pipeline
from undrift.pipelines.student import StudentPipeline

PIPELINES = (
    DiffusionPipeline,
    GANPipeline,
    StudentPipeline,
    AdapterPipeline,
    ClassifierPipeline,
)
"""Every class of pipelines; to add one, add it here."""

Pipeline.readers.update({pipeline.kind: pipeline.read for pipeline in PIPELINES})
