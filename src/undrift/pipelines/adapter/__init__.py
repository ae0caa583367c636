"""Adapters of frozen diffusion models: control branches for maps, and low-rank ones."""

from undrift.pipelines.adapter.joined import with_adapters
from undrift.pipelines.adapter.model import (
    AdaptedModel,
    AdapterFacts,
    BaseReference,
    open_base,
)
from undrift.pipelines.adapter.pipeline import AdapterPipeline

__all__ = [
    "AdaptedModel",
    "AdapterFacts",
    "AdapterPipeline",
    "BaseReference",
    "open_base",
    "with_adapters",
]
