"""What is particular to adapters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.families.family import Family, Recipe, RecipeRequest
from undrift.networks import ContextSpec, build_network
from undrift.pipelines import Pipeline
from undrift.pipelines.adapter import open_base
from undrift.pipelines.place import moved_with
from undrift.training.learner import Learner
from undrift.training.learners.adapter import AdapterConfig, AdapterLearner
from undrift.training.learners.diffusion import VALIDATION_LEVELS, validation_count


class AdapterFamily(Family[AdapterConfig]):
    """A small network beside a frozen diffusion model: a control branch, or low-rank matrices."""

    name: ClassVar[str] = "adapter"
    methods: ClassVar[tuple[str, ...]] = ("control", "lora")
    scratch: ClassVar[tuple[str, ...] | None] = ()
    config: ClassVar[type] = AdapterConfig
    kind: ClassVar[str | None] = "adapter"
    noun: ClassVar[str] = "adapter"
    reference_curve: ClassVar[bool] = True

    def recipe(self, request: RecipeRequest) -> Recipe:
        """See `Family.recipe`; an adapter needs a base, and is made by ``undrift adapt``."""
        example = {
            "control": "undrift adapt RUN --condition edges",
            "lora": "undrift adapt RUN --lora 8",
        }
        method = request.settings.method
        raise UsageError(
            f"method {method}: it needs a base; train a diffusion model, then {example[method]}"
        )

    def learner(
        self,
        config: AdapterConfig,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """See `Family.learner`."""
        return AdapterLearner(config, seed, device, open_base(config.base), eigenvalues)

    def network(
        self,
        config: Any,
        latent_shape: tuple[int, int, int],
        context: ContextSpec,  # noqa: ANN401
    ) -> nn.Module:
        """See `Family.network`: that of the base."""
        return build_network(
            config, channels=latent_shape[0], size=latent_shape[1:], context=context
        )

    def validation_passes(self, config: AdapterConfig) -> int:
        """See `Family.validation_passes`."""
        kinds = sum(bool(kind.dropout) for kind in config.condition.kinds)
        return validation_count(config.spec.image_shape) * VALIDATION_LEVELS * (1 + kinds)

    def peak_rate(self, config: AdapterConfig) -> float:
        """See `Family.peak_rate`."""
        return config.model.optimizer.learning_rate

    def placed(self, config: AdapterConfig, run: Path) -> AdapterConfig:
        """See `Family.placed`."""
        return replace(config, base=replace(config.base, path=moved_with(config.base.path, run)))

    def teacher(self, config: AdapterConfig) -> Pipeline | None:
        """See `Family.teacher`: grids are drawn beside those of the base."""
        return open_base(config.base)
