"""What is particular to classifiers of noisy images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from undrift.families.classifier.recipe import classifier_recipe
from undrift.families.family import Family, Recipe, RecipeRequest
from undrift.networks import ContextSpec, UNetClassifier, UNetClassifierConfig
from undrift.training.learner import Learner
from undrift.training.learners.classifier import ClassifierConfig, ClassifierLearner
from undrift.training.learners.diffusion import VALIDATION_LEVELS, validation_count


class ClassifierFamily(Family[ClassifierConfig]):
    """The encoder of a U-Net that reads the class of an image at any noise level."""

    name: ClassVar[str] = "classifier"
    methods: ClassVar[tuple[str, ...]] = ("classifier",)
    config: ClassVar[type] = ClassifierConfig
    kind: ClassVar[str | None] = "classifier"
    noun: ClassVar[str] = "classifier"
    draws: ClassVar[bool] = False

    def recipe(self, request: RecipeRequest) -> Recipe:
        """See `Family.recipe`."""
        return classifier_recipe(request)

    def learner(
        self,
        config: ClassifierConfig,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """See `Family.learner`."""
        return ClassifierLearner(config, seed, device)

    def network(
        self,
        config: UNetClassifierConfig,
        latent_shape: tuple[int, int, int],
        context: ContextSpec,
    ) -> nn.Module:
        """See `Family.network`: the classifier."""
        return UNetClassifier(config, channels=latent_shape[0])

    def validation_passes(self, config: ClassifierConfig) -> int:
        """See `Family.validation_passes`."""
        return validation_count(config.spec.image_shape) * VALIDATION_LEVELS

    def peak_rate(self, config: ClassifierConfig) -> float:
        """See `Family.peak_rate`."""
        return config.optimizer.learning_rate
