"""The recipe of a student: by its teacher, its method and its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from undrift.advice import named
from undrift.distillation import (
    AdversarialFlowConfig,
    ConsistencyConfig,
    FlowMapConfig,
    MatchingConfig,
    MeanFlowConfig,
    ProgressiveConfig,
    ReflowConfig,
)
from undrift.errors import UsageError
from undrift.families.diffusion.recipe import diffusion_recipe
from undrift.families.family import Recipe, RecipeRequest
from undrift.networks import are_points
from undrift.networks.gan import MLPGANConfig, R3GANConfig
from undrift.pipelines import DiffusionPipeline, SampleSpec
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student_config import MethodConfig, StudentConfig, TeacherReference
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import AdamWConfig, MuonConfig, OptimizerConfig

OBJECTIVES: dict[str, type[MethodConfig]] = {
    "consistency": ConsistencyConfig,
    "flow-map": FlowMapConfig,
    "mean-flow": MeanFlowConfig,
    "adversarial-flow": AdversarialFlowConfig,
    "distribution-matching": MatchingConfig,
    "reflow": ReflowConfig,
    "progressive": ProgressiveConfig,
}
"""Methods by their names."""

FROM_SCRATCH = ("flow-map", "mean-flow", "adversarial-flow")
"""Methods that need no teacher."""

STEPS = 2
"""Steps that a student draws with by default, where its method takes them."""

GENERATOR = AdamWConfig(learning_rate=5e-4, betas=(0.0, 0.99))
"""How a student is updated against a discriminator."""

PATCHED = 16
"""Shorter side of images from which the discriminator takes patches of 2 x 2 pixels."""

GAMMA = 2.0
"""Weight of the penalties, as that of our R3GAN on a CPU; on toy 2-D data `POINTS_GAMMA`."""

POINTS_GAMMA = 0.01

SHARE = 0.5
"""Images of a student, by default, in units of its teacher's."""

RATE = 0.3
"""Peak rate of a student that begins as its teacher, in units of the teacher's."""


@dataclass(frozen=True)
class Distillation:
    """Settings of a distillation.

    Attributes:
        method: one of `OBJECTIVES`.
        steps: that it draws with by default; None: `STEPS`, or the fewest of its method.
        guidance: smallest and largest scale to distil; None: without.
        learning_rate: peak rate; None: `RATE` times the teacher's.
    """

    method: str
    steps: int | None = None
    guidance: tuple[float, float] | None = None
    learning_rate: float | None = None


def distilled(
    settings: Distillation,
    teacher: DiffusionPipeline,
    reference: TeacherReference,
    trained: DiffusionConfig,
    batch_size: int,
    images: int,
) -> Recipe:
    """The recipe of a student.

    Args:
        settings: method, steps and guidance.
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
        spec=replace(teacher.spec, steps=usual_steps(settings), guidance=1.0),
        codec=trained.codec,
        method=settings.method,
        objective=objective_of(settings.method, teacher.spec),
        teacher=reference,
        network=teacher.network_config,
        width=trained.width,
        schedule=schedule,  # type: ignore[arg-type] - one that was saved
        parameterization=teacher.denoiser.parameterization.kind,
        guidance=settings.guidance,
        label_dropout=trained.label_dropout,
        flip=trained.flip,
        augment_parameters=0 if encoder is None else encoder.spec.augment,
        optimizer=_optimizer(settings.method, trained.optimizer, RATE, settings.learning_rate),
    )
    rate = LearningRate(warm_up=0.02, decay=0.5)
    return Recipe(model, batch_size, int(SHARE * images), rate, bfloat16=False)


def from_scratch(request: RecipeRequest) -> Recipe:
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
        spec=replace(request.spec, steps=usual_steps(Distillation(method))),
        codec=trained.codec,
        method=method,
        objective=objective_of(method, request.spec),
        network=trained.network,
        width=trained.width,
        schedule=trained.schedule,
        parameterization=trained.parameterization,
        label_dropout=trained.label_dropout,
        flip=trained.flip,
        optimizer=_optimizer(method, trained.optimizer, 1.0, settings.learning_rate),
    )
    return replace(recipe, model=model, bfloat16=False)


def usual_steps(settings: Distillation) -> int:
    """Steps that the student draws with by default."""
    takes = OBJECTIVES[settings.method].steps
    return settings.steps or (STEPS if not takes or STEPS in takes else takes[0])


def objective_of(method: str, spec: SampleSpec) -> MethodConfig:
    """The objective of a method for such images."""
    made = OBJECTIVES[method]()
    if not isinstance(made, AdversarialFlowConfig):
        return made
    size = spec.image_shape[1:]
    if are_points((size[0], size[1])):
        return replace(made, discriminator=MLPGANConfig(), gamma=POINTS_GAMMA)
    patch = 2 if min(size) >= PATCHED else 1
    return replace(
        made, discriminator=R3GANConfig(width=64, full_stages=1, patch=patch), gamma=GAMMA
    )


def _optimizer(
    method: str, trained: OptimizerConfig, share: float, rate: float | None
) -> OptimizerConfig:
    """The method's optimiser, or ``trained`` at ``share`` of its rates; at ``rate`` if given."""
    optimizer = trained
    if isinstance(OBJECTIVES[method](), AdversarialFlowConfig):
        optimizer, share = GENERATOR, 1.0
    ratio = share if rate is None else rate / optimizer.learning_rate
    made = replace(optimizer, learning_rate=ratio * optimizer.learning_rate)
    if isinstance(made, MuonConfig):
        rest = replace(made.rest, learning_rate=ratio * made.rest.learning_rate)
        return replace(made, rest=rest)
    return made
