"""What is particular to few-step students."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from undrift.data.scatter import on_plane
from undrift.errors import UsageError
from undrift.families.family import Draw, Family, ModelConfig, Recipe, RecipeRequest
from undrift.families.student.recipe import FROM_SCRATCH, OBJECTIVES, from_scratch
from undrift.families.student.teacher import open_teacher
from undrift.networks import ContextSpec, NetworkConfig, build_network
from undrift.pipelines import DiffusionPipeline, Pipeline, StudentPipeline
from undrift.pipelines.place import moved_with
from undrift.training.learner import Learner, pipeline_as
from undrift.training.learners.student import VALIDATION_IMAGES
from undrift.training.learners.student_config import StudentConfig
from undrift.training.learners.student_rivals import student_learner

if TYPE_CHECKING:
    from undrift.metrics import Images

_TITLES = {
    "consistency": "consistency student",
    "flow-map": "flow map",
    "mean-flow": "mean flow",
    "adversarial-flow": "adversarial flow",
    "distribution-matching": "distribution-matching student",
    "reflow": "reflow student",
    "progressive": "progressive student",
}


class StudentFamily(Family[StudentConfig]):
    """A network that draws in one to a few steps, distilled from a diffusion model."""

    name: ClassVar[str] = "student"
    methods: ClassVar[tuple[str, ...]] = tuple(OBJECTIVES)
    scratch: ClassVar[tuple[str, ...] | None] = tuple(FROM_SCRATCH)
    config: ClassVar[type] = StudentConfig
    kind: ClassVar[str | None] = "student"
    noun: ClassVar[str] = "few-step student"

    def recipe(self, request: RecipeRequest) -> Recipe:
        """See `Family.recipe`; a student that has a teacher is made by ``undrift distill``."""
        return from_scratch(request)

    def learner(
        self,
        config: StudentConfig,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """See `Family.learner`."""
        teacher = None if config.teacher is None else open_teacher(config.teacher)
        return student_learner(config, seed, device, teacher)

    def network(
        self, config: NetworkConfig, latent_shape: tuple[int, int, int], context: ContextSpec
    ) -> nn.Module:
        """See `Family.network`."""
        return build_network(
            config, channels=latent_shape[0], size=latent_shape[1:], context=context
        )

    def title(self, method: str) -> str:
        """See `Family.title`."""
        return _TITLES.get(method, self.noun)

    def validation_passes(self, config: StudentConfig) -> int:
        """See `Family.validation_passes`: student and target, and a guided teacher twice."""
        # Once as they are, and once for each kind of condition with that kind shuffled.
        kinds = sum(bool(kind.dropout) for kind in config.spec.condition().kinds)
        return VALIDATION_IMAGES * (2 if config.guidance is None else 4) * (1 + kinds)

    def peak_rate(self, config: StudentConfig) -> float:
        """See `Family.peak_rate`."""
        return config.optimizer.learning_rate

    def placed(self, config: StudentConfig, run: Path) -> StudentConfig:
        """See `Family.placed`."""
        if config.teacher is None:
            return config
        path = moved_with(config.teacher.path, run)
        return replace(config, teacher=replace(config.teacher, path=path))

    def teacher(self, config: StudentConfig) -> Pipeline | None:
        """See `Family.teacher`."""
        return None if config.teacher is None else open_teacher(config.teacher)

    def finished(self, pipeline: Pipeline, train: Callable[[], Images], draw: Draw) -> Pipeline:
        """See `Family.finished`: the level between its steps is chosen by measurement."""
        if not isinstance(pipeline, StudentPipeline) or on_plane(pipeline.spec.image_shape):
            return pipeline
        if not OBJECTIVES[pipeline.model.facts.method].chosen_level:
            return pipeline
        from undrift.families.student.level import best_level

        steps = max(2, pipeline.spec.steps)
        try:
            return pipeline.with_level(best_level(pipeline, train(), steps, draw))
        except UsageError:  # copies of one image: there is nothing to measure with
            return pipeline


def student_beside(
    teacher: Pipeline, config: ModelConfig, seed: int, device: torch.device | str
) -> Learner:
    """The learner of a student whose teacher is here, and has no path.

    Raises:
        UsageError: ``config`` is no student's, or ``teacher`` no diffusion model.
    """
    if not isinstance(config, StudentConfig):
        raise UsageError("this model is not distilled; it has no teacher")
    return student_learner(config, seed, device, pipeline_as(teacher, DiffusionPipeline))
