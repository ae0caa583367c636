"""Measures of generated images against real ones, each with its interval, floor and protocol."""

from undrift.metrics.comparison import Comparison
from undrift.metrics.difference import paired_differences
from undrift.metrics.estimate import Estimate
from undrift.metrics.images import Images
from undrift.metrics.results import (
    Measurements,
    MemorizationResult,
    MetricResult,
    Sensitivity,
    floor_notes,
)
from undrift.metrics.sensitivity import sensitivity, with_sensitivity
from undrift.metrics.spaces import fit_seconds, open_spaces, quick_space
from undrift.metrics.suite import (
    chosen_metrics,
    lacking_metrics,
    measure,
    needs_classifier,
)

__all__ = [
    "Comparison",
    "Estimate",
    "Images",
    "Measurements",
    "MemorizationResult",
    "MetricResult",
    "Sensitivity",
    "chosen_metrics",
    "fit_seconds",
    "floor_notes",
    "lacking_metrics",
    "measure",
    "needs_classifier",
    "open_spaces",
    "paired_differences",
    "quick_space",
    "sensitivity",
    "with_sensitivity",
]
