"""The recipe of a classifier of noisy images: the encoder and noise levels of a diffusion model."""

from __future__ import annotations

from dataclasses import fields, replace

from undrift.advice import named
from undrift.codec import codec_config
from undrift.diffusion import VE
from undrift.errors import DataError, UsageError
from undrift.families.diffusion.recipe import optimizer_at, recipe_for, standardised
from undrift.families.family import Recipe, RecipeRequest
from undrift.networks import UNetClassifierConfig, UNetConfig, are_points
from undrift.options.train import TrainOptions
from undrift.training.learners.classifier import ClassifierConfig
from undrift.training.learning_rate import LearningRate

DROPOUT = 0.1
"""Dropout inside the network: of a few hundred images per class it learns each by heart."""

SHARE = 0.5
"""Images of a classifier, by default, in units of a diffusion model's."""

_UNUSED = (
    *("recipe", "text", "numbers", "maps", "augment", "label_dropout", "penalty", "compile"),
    *("init", "evaluate_every"),
)
"""Settings that it has no use for: it draws no images, and the class is all that it says of one."""


def classifier_recipe(request: RecipeRequest) -> Recipe:
    """The recipe of a classifier.

    Raises:
        DataError: for images without classes.
        UsageError: for a setting that it has no use for, or toy 2-D data.
    """
    settings, spec = request.settings, request.spec
    _check(settings)
    if are_points(spec.image_shape[1:]):
        raise UsageError(
            f"{named('method')} classifier: it is for images; toy 2-D data has no use for it"
        )
    if not settings.conditional:
        raise UsageError(
            f"{named('method')} classifier: it learns the classes of the images; train it with "
            "them, not without conditions"
        )
    if len(spec.class_names) < 2:
        raise DataError(
            f"{named('method')} classifier: the images have {len(spec.class_names) or 'no'} "
            "classes to choose from; give two or more, as a folder for each"
        )
    usual = recipe_for(max(spec.image_shape[1:]), request.device, None, request.budget)
    if not isinstance(usual.network, UNetConfig):
        raise UsageError(f"{named('method')} classifier: there is no U-Net for such images")
    shape = {field.name: getattr(usual.network, field.name) for field in fields(UNetConfig)}
    shape["dropout"] = DROPOUT if settings.dropout is None else settings.dropout
    model = ClassifierConfig(
        spec=replace(spec, steps=1),
        network=UNetClassifierConfig(**shape, classes=len(spec.class_names)),
        codec=codec_config(standardised(request.train)),
        schedule=VE(sigma_max=usual.sigma_max),
        levels=usual.levels,
        flip=settings.flip,
        optimizer=optimizer_at(usual.optimizer, settings.learning_rate),
    )
    images = int(SHARE * usual.images)
    return Recipe(model, usual.batch_size, images, LearningRate(warm_up=0.02, decay=0.98))


def _check(settings: TrainOptions) -> None:
    for name in _UNUSED:
        if getattr(settings, name) != getattr(TrainOptions, name):
            raise UsageError(f"{named(name)}: method classifier has no use for it; leave it out")
    if settings.network not in (None, "unet"):
        raise UsageError(
            f"{named('network')} {settings.network}: method classifier builds the encoder of a "
            "U-Net; leave it out"
        )
