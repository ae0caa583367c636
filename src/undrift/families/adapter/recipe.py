"""The recipe of an adapter: by its base and its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from undrift.conditioning import MapSpec
from undrift.diffusion import LogNormal
from undrift.errors import UsageError
from undrift.families.family import ModelConfig, Recipe
from undrift.networks.control import ControlConfig
from undrift.pipelines.adapter import BaseReference
from undrift.pipelines.adapter.model import AdapterShape
from undrift.training.learners.adapter import AdapterConfig
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import AdamWConfig

SHARE = 0.5
"""Images of an adapter, by default, in units of its base's."""

RATES = {"control": 2e-3, "lora": 1e-3}
"""Peak learning rates."""

DROPOUT = 0.5
"""Share of the base's own conditions that is dropped beside a map, which then has to say more."""

BASE_IMAGES = 128
"""Images that a base draws of its own classes for an adapter that learns a new one, at least."""

HIGH_NOISE = 0.6
"""By how much the mean of log sigma is raised for a control branch: layout is decided there."""


def adaptable(run: str, model: ModelConfig, noun: str) -> DiffusionConfig:
    """The configuration ``model`` of a run, which has to be of a diffusion model.

    Args:
        run: for messages.
        model: of the run.
        noun: of its family.

    Raises:
        UsageError: for another family, or a network of the user's own.
    """
    if not isinstance(model, DiffusionConfig):
        raise UsageError(f"{run}: of family {noun}; adapters are for diffusion models")
    if model.network is None:
        raise UsageError(f"{run}: its network is your own, which an adapter does not know")
    return model


def refuse_known_maps(maps: tuple[MapSpec, ...], names: Sequence[str]) -> None:
    """Refuse a map that the base is conditioned on.

    Args:
        maps: of the base.
        names: of the maps that an adapter would add.

    Raises:
        UsageError: for the first that is among ``maps``.
    """
    taken = {one.name for one in maps}
    for name in names:
        if name in taken:
            raise UsageError(
                f"map {name}: the base is conditioned on it already, and takes it as "
                "`undrift sample --map`"
            )


def adapted(
    base: DiffusionConfig,
    reference: BaseReference,
    shape: AdapterShape,
    maps: tuple[MapSpec, ...],
    batch_size: int,
    images: int,
    learning_rate: float | None,
    classes: tuple[int, ...] | None,
) -> Recipe:
    """The recipe of an adapter.

    Args:
        base: how the base was trained.
        reference: to its pipeline.
        shape: of the adapter.
        maps: that a control branch adds.
        batch_size: of the base's training.
        images: that it was trained on.
        learning_rate: peak rate; None: of `RATES`.
        classes: index in the base of each class of the data; None: they are the base's own.

    Raises:
        UsageError: for a base trained for likelihood.
    """
    if base.likelihood is not None:
        raise UsageError("the base was trained for likelihood; adapt a model of images")
    control = isinstance(shape, ControlConfig)
    levels = base.levels
    if control and isinstance(levels, LogNormal):
        levels = replace(levels, mean=levels.mean + HIGH_NOISE)
    model = replace(
        base,
        spec=replace(base.spec, maps=(*base.spec.maps, *maps)),
        levels=levels,
        label_dropout=DROPOUT if control else base.label_dropout,
        augment=0.0,
        compile=False,
        optimizer=AdamWConfig(learning_rate=learning_rate or RATES[shape.kind]),
    )
    new = classes is not None and -1 in classes
    # Image i is of class i modulo their number: every class has one.
    images_of_base = max(BASE_IMAGES, len(base.spec.class_names)) if new else 0
    config = AdapterConfig(model, shape, reference, base_images=images_of_base, classes=classes)
    return Recipe(config, batch_size, int(SHARE * images), LearningRate(warm_up=0.02, decay=0.5))
