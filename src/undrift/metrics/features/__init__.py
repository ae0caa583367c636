"""Feature spaces: how images become the vectors in which the distances are measured."""

from undrift.metrics.features.choose import open_extractor
from undrift.metrics.features.domain import DomainClassifier
from undrift.metrics.features.extractor import Classifier, FeatureExtractor
from undrift.metrics.features.fitting import OnFit
from undrift.metrics.features.spread import require_different
from undrift.metrics.features.stored import cached_features
from undrift.metrics.features.texture import TextureFeatures
from undrift.metrics.features.untrained import RandomFeatures

__all__ = [
    "Classifier",
    "DomainClassifier",
    "FeatureExtractor",
    "OnFit",
    "RandomFeatures",
    "TextureFeatures",
    "cached_features",
    "open_extractor",
    "require_different",
]
