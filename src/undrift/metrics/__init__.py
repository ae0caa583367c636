"""Measures of generated images against real ones, each with its sample size, floor and protocol."""

from undrift.metrics.classification import Share, label_accuracy, wilson_interval
from undrift.metrics.coverage import Neighbourhoods, expected_coverage, neighbourhoods
from undrift.metrics.features import DomainClassifier, FeatureExtractor, RandomFeatures
from undrift.metrics.first import first_metrics
from undrift.metrics.frechet import FrechetEstimate, Moments, frechet_distance, frechet_estimate
from undrift.metrics.nearest import Copies, Neighbours, copies, nearest_training

__all__ = [
    "Copies",
    "DomainClassifier",
    "FeatureExtractor",
    "FrechetEstimate",
    "Moments",
    "Neighbourhoods",
    "Neighbours",
    "RandomFeatures",
    "Share",
    "copies",
    "expected_coverage",
    "first_metrics",
    "frechet_distance",
    "frechet_estimate",
    "label_accuracy",
    "nearest_training",
    "neighbourhoods",
    "wilson_interval",
]
