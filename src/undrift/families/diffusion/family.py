"""What is particular to diffusion models."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from undrift.families.diffusion.initial import copy_weights
from undrift.families.diffusion.likelihood import for_likelihood
from undrift.families.diffusion.recipe import diffusion_recipe
from undrift.families.family import Family, Recipe, RecipeRequest
from undrift.networks import ContextSpec, NetworkConfig, build_network
from undrift.pipelines import Pipeline
from undrift.training.learner import Learner
from undrift.training.learners.diffusion import (
    VALIDATION_LEVELS,
    DiffusionConfig,
    DiffusionLearner,
    validation_count,
)


class DiffusionFamily(Family[DiffusionConfig]):
    """A denoiser, trained on every noise level and sampled by a solver."""

    name: ClassVar[str] = "diffusion"
    methods: ClassVar[tuple[str, ...]] = ("diffusion",)
    config: ClassVar[type] = DiffusionConfig
    kind: ClassVar[str | None] = None
    noun: ClassVar[str] = "diffusion model"
    augmented: ClassVar[str] = "conditioned on"
    own_network: ClassVar[bool] = True
    reference_curve: ClassVar[bool] = True
    images_needed: ClassVar[bool] = True

    def recipe(self, request: RecipeRequest) -> Recipe:
        """See `Family.recipe`."""
        recipe, model = diffusion_recipe(request)
        if request.settings.recipe == "likelihood":
            model = for_likelihood(model, request.settings, request.data)
        return replace(recipe, model=model)

    def learner(
        self,
        config: DiffusionConfig,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """See `Family.learner`."""
        return DiffusionLearner(config, seed, device, network=network, eigenvalues=eigenvalues)

    def network(
        self, config: NetworkConfig, latent_shape: tuple[int, int, int], context: ContextSpec
    ) -> nn.Module:
        """See `Family.network`."""
        return build_network(
            config, channels=latent_shape[0], size=latent_shape[1:], context=context
        )

    def validation_passes(self, config: DiffusionConfig) -> int:
        """See `Family.validation_passes`."""
        # Once as they are, and once for each kind of condition with that kind shuffled.
        kinds = sum(bool(kind.dropout) for kind in config.condition.kinds)
        return validation_count(config.spec.image_shape) * VALIDATION_LEVELS * (1 + kinds)

    def peak_rate(self, config: DiffusionConfig) -> float:
        """See `Family.peak_rate`."""
        return config.optimizer.learning_rate

    def regularisation(self, config: DiffusionConfig) -> tuple[str, float, float] | None:
        """Label dropout, of a model with classes."""
        if config.spec.class_names and config.label_dropout:
            return "label_dropout", config.label_dropout, 0.9
        return None

    def copy_weights(self, source: Pipeline, learner: Learner) -> list[str]:
        """See `Family.copy_weights`."""
        return copy_weights(source, learner)
