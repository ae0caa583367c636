"""Classifiers of noisy images as pipelines: they draw nothing, and guide what draws."""

from __future__ import annotations

from undrift.pipelines.classifier.model import ClassifierModel
from undrift.pipelines.classifier.pipeline import ClassifierPipeline

__all__ = ["ClassifierModel", "ClassifierPipeline"]
