"""The families whose pipelines can be loaded: from a file's kind to its class."""

from __future__ import annotations

from undrift.pipelines.diffusion import DiffusionPipeline
from undrift.pipelines.gan import GANPipeline
from undrift.pipelines.pipeline import Pipeline

PIPELINES = (DiffusionPipeline, GANPipeline)

Pipeline.readers.update({pipeline.kind: pipeline.read for pipeline in PIPELINES})
