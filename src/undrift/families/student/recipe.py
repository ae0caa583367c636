"""The recipe of a student: by its teacher, its method and its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from undrift.advice import named
from undrift.distillation import ConsistencyConfig, FlowMapConfig
from undrift.errors import UsageError
from undrift.families.diffusion.recipe import diffusion_recipe
from undrift.families.family import Recipe, Request
from undrift.pipelines import DiffusionPipeline
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student_config import MethodConfig, StudentConfig, TeacherReference
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import MuonConfig, OptimizerConfig

OBJECTIVES: dict[str, type[MethodConfig]] = {
    "consistency": ConsistencyConfig,
    "flow-map": FlowMapConfig,
}
"""Methods by their names."""

FROM_SCRATCH = ("flow-map",)
"""Methods that need no teacher."""

STEPS = 2
"""Steps that a student without a teacher draws with by default."""

SHARE = 0.5
"""Images of a student, by default, in units of its teacher's."""

RATE = 0.3
"""Peak rate of a student that begins as its teacher, in units of the teacher's."""


@dataclass(frozen=True)
class Distillation:
    """What is asked of a student.

    Attributes:
        method: one of `OBJECTIVES`.
        steps: that it draws with by default.
        guidance: smallest and largest scale to distil; None: without.
        learning_rate: peak rate; None: `RATE` times the teacher's.
    """

    method: str
    steps: int
    guidance: tuple[float, float] | None = None
    learning_rate: float | None = None


def distilled(
    asked: Distillation,
    teacher: DiffusionPipeline,
    reference: TeacherReference,
    trained: DiffusionConfig,
    batch_size: int,
    images: int,
) -> Recipe:
    """The recipe of a student.

    Args:
        asked: method, steps and guidance.
        teacher: the pipeline.
        reference: to it.
        trained: how it was trained.
        batch_size: of its training.
        images: that it was trained on.

    Raises:
        UsageError: for steps that the method does not take, or guidance of a teacher without
            conditions.
    """
    if teacher.network_config is None:
        raise UsageError("teacher: its network is your own, which a student cannot be built from")
    schedule = teacher.denoiser.schedule
    encoder = teacher.encoder
    model = StudentConfig(
        spec=replace(teacher.spec, steps=asked.steps, guidance=1.0),
        codec=trained.codec,
        method=asked.method,
        objective=OBJECTIVES[asked.method](),
        teacher=reference,
        network=teacher.network_config,
        width=trained.width,
        schedule=schedule,  # type: ignore[arg-type] - one that was saved
        parameterization=teacher.denoiser.parameterization.kind,
        guidance=asked.guidance,
        label_dropout=trained.label_dropout,
        flip=trained.flip,
        augment_parameters=0 if encoder is None else encoder.spec.augment,
        optimizer=_slower(trained.optimizer, asked.learning_rate),
    )
    rate = LearningRate(warm_up=0.02, decay=0.5)
    return Recipe(model, batch_size, int(SHARE * images), rate, bfloat16=False)


def from_scratch(request: Request) -> Recipe:
    """The recipe of a student without a teacher: that of a diffusion model with its objective.

    Raises:
        UsageError: a method that needs a teacher, or a setting that it has no use for.
    """
    settings = request.settings
    method = settings.method
    if method not in FROM_SCRATCH:
        raise UsageError(
            f"{named('method')} {method}: it needs a teacher; train a diffusion model, then "
            f"undrift distill RUN --method {method}"
        )
    if settings.augment or settings.recipe != "images":
        name = "augment" if settings.augment else "recipe"
        raise UsageError(f"{named(name)}: method {method} has no use for it; leave it out")
    recipe, trained = diffusion_recipe(request)
    if trained.network is None:
        raise UsageError(f"network=: method {method} builds its own networks; leave it out")
    model = StudentConfig(
        spec=replace(request.spec, steps=STEPS),
        codec=trained.codec,
        method=method,
        objective=OBJECTIVES[method](),
        network=trained.network,
        width=trained.width,
        schedule=trained.schedule,
        parameterization=trained.parameterization,
        label_dropout=trained.label_dropout,
        flip=trained.flip,
        optimizer=trained.optimizer,
    )
    return replace(recipe, model=model, bfloat16=False)


def _slower(optimizer: OptimizerConfig, rate: float | None) -> OptimizerConfig:
    """``optimizer`` at another peak rate, all its rates in their ratio."""
    ratio = RATE if rate is None else rate / optimizer.learning_rate
    made = replace(optimizer, learning_rate=ratio * optimizer.learning_rate)
    if isinstance(made, MuonConfig):
        rest = replace(made.rest, learning_rate=ratio * made.rest.learning_rate)
        return replace(made, rest=rest)
    return made
