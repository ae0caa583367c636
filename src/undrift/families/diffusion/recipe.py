"""The recipe of a diffusion model: by size of the images, device and time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from undrift.advice import named
from undrift.codec import Standardise, codec_config
from undrift.data import ImageSet
from undrift.diffusion import VE, EDMWeight, LogNormal
from undrift.errors import UsageError
from undrift.families.family import Recipe, RecipeRequest
from undrift.families.grid import SMALL, TINY
from undrift.families.points import BATCH, IMAGES
from undrift.networks import (
    MLPConfig,
    NetworkConfig,
    TransformerConfig,
    UNetConfig,
    are_points,
)
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import AdamWConfig, MuonConfig, OptimizerConfig

MOMENT_IMAGES = 20_000
"""Images that the data's mean and standard deviation are taken from."""

TEXT_DROPOUT = 0.1
"""Share of captions and maps dropped; with a half, prompts needed strong guidance."""

MOST_POSITIONS = 80
"""Longest side in patches that a U-Net works at: larger images are cut into patches of 2, 4, ..."""

LONG = 900.0
"""Seconds of training from which a CPU gets wider networks."""

SIGMA_MAX = 200.0
"""Noise that sampling starts from, in standard deviations of the data.

EDM's 80 is for data of deviation 0.5. What the start leaves out is the mean of the images, which
80 still lets through: on digits the Frechet distance fell from 0.60 to 0.55 (docs/log.md).
"""

WAVES = (1.0, 2.0, 4.0, 8.0)
"""Angular frequencies of the Fourier features of toy 2-D data, whose deviation is 1.

With them 94 % of the points were of high quality where without them 89 % were (docs/log.md).
"""


@dataclass(frozen=True)
class NetworkRecipe:
    """The network for a kind of image, and how it is trained.

    Attributes:
        network: its shape.
        optimizer: how it is updated.
        batch_size: images of the global batch.
        images: images to train on in all by default.
        levels: training noise levels.
        sigma_max: noise that sampling starts from, in standard deviations of the data.
        label_dropout: share of labels dropped.
    """

    network: NetworkConfig
    optimizer: OptimizerConfig
    batch_size: int
    images: int
    levels: LogNormal = LogNormal(mean=-0.4, std=1.2)
    sigma_max: float = SIGMA_MAX
    label_dropout: float = 0.1


def recipe_for(
    side: int, device: str, network: str | None, budget: float | None = None
) -> NetworkRecipe:
    """The recipe for images whose longer side is ``side`` pixels.

    Args:
        side: pixels.
        device: ``cpu`` or ``cuda``.
        network: family of network, or None for the recipe's own choice.
        budget: seconds to train for, if that is limited.
    """
    batch, images = (256, 10_000_000) if device == "cuda" else (64, 200_000)
    if network == "mlp":
        return NetworkRecipe(MLPConfig(), AdamWConfig(), batch, images)
    long = budget is not None and budget >= LONG
    chosen = _transformer(side, device) if network == "transformer" else _unet(side, device, long)
    muon = MuonConfig(learning_rate=6e-3, rest=AdamWConfig(learning_rate=3e-3))
    recipe = NetworkRecipe(chosen, muon, batch, images)
    if side <= SMALL:
        return replace(recipe, label_dropout=0.05)
    if device == "cpu":
        # Minutes afford so few images of this size that updates by smaller batches are worth more.
        return replace(recipe, batch_size=16 if budget is not None and not long else 32)
    return recipe


def points_recipe(device: str) -> NetworkRecipe:
    """The recipe for toy 2-D data."""
    return NetworkRecipe(
        MLPConfig(width=64, fourier=WAVES),
        MuonConfig(learning_rate=1e-2, rest=AdamWConfig(learning_rate=5e-3)),
        batch_size=BATCH,
        images=10_000_000 if device == "cuda" else IMAGES,
        levels=LogNormal(mean=-1.0, std=1.3),
        # what has no mean needs no more noise to start from, and steps cost little
        sigma_max=20.0,
    )


def diffusion_recipe(request: RecipeRequest) -> tuple[Recipe, DiffusionConfig]:
    """The recipe for images, and the model in it.

    Raises:
        UsageError: for a setting that a diffusion model has no use for.
    """
    settings, (_, height, width) = request.settings, request.spec.image_shape
    if are_points((height, width)):
        recipe = points_recipe(request.device)
    else:
        side = max(height, width)
        recipe = recipe_for(side, request.device, settings.network, request.budget)
    own = request.own_network
    if settings.penalty is not None:
        raise UsageError(
            f"{named('penalty')}: a diffusion model has no gradient penalty; leave it out"
        )
    model = DiffusionConfig(
        spec=request.spec,
        codec=codec_config(standardised(request.train)),
        network=None if own else _with_dropout(recipe.network, settings.dropout),
        schedule=VE(sigma_max=recipe.sigma_max),
        levels=recipe.levels,
        weighting=EDMWeight(),
        label_dropout=_dropout(request, recipe.label_dropout),
        flip=settings.flip,
        augment=settings.augment or 0.0,
        # Muon goes by the names of our layers; a network of the user's has others.
        optimizer=optimizer_at(AdamWConfig() if own else recipe.optimizer, settings.learning_rate),
        compile=settings.compile,
    )
    rate = LearningRate(warm_up=0.02, decay=0.98)
    return Recipe(model, recipe.batch_size, recipe.images, rate), model


def _unet(side: int, device: str, long: bool) -> UNetConfig:
    """Narrow at full resolution, wider below (docs/log.md).

    Without a level at full resolution textures stay noisy; in minutes on a CPU more images teach
    more than a wider network.
    """
    cuda = device == "cuda"
    if side <= TINY:
        return UNetConfig(patch=1, width=48 if cuda or long else 24, multipliers=(1, 2))
    return UNetConfig(
        patch=2 ** max(0, math.ceil(math.log2(side / MOST_POSITIONS))),
        width=64 if cuda else 24 if long else 16,
        multipliers=(1, 2, 4) if side <= SMALL else (1, 2, 4, 4),
        blocks=2 if cuda else 1,
        attention=(-1,),
    )


def _transformer(side: int, device: str) -> TransformerConfig:
    patch = max(2, side // 16)
    if device == "cuda":
        return TransformerConfig.preset("S", patch=patch)
    return TransformerConfig(patch=patch, width=192, depth=6, heads=6)


def _dropout(request: RecipeRequest, labels: float) -> float:
    """Share of conditions that are dropped, of labels alone ``labels`` by default.

    Raises:
        UsageError: for numbers or maps that are never dropped.
    """
    given = request.settings.label_dropout
    spec = request.spec
    usual = labels if spec.text is None and not spec.maps else TEXT_DROPOUT
    share = usual if given is None else given
    if (spec.numbers or spec.maps) and not share:
        what = "numbers" if spec.numbers else "maps"
        raise UsageError(
            f"{named('label_dropout')} 0 with {what}: samples without {what}, and guidance, need "
            "some to be dropped; give more than 0"
        )
    return share


def standardised(train: ImageSet) -> Standardise:
    """The codec of ``train``: by evenly spaced images, few enough to be held in memory."""
    count = min(len(train), MOMENT_IMAGES)
    rows = np.linspace(0, len(train) - 1, count).astype(np.int64)
    return Standardise.fit(train.take(rows))


def _with_dropout(network: NetworkConfig, dropout: float | None) -> NetworkConfig:
    return network if dropout is None else replace(network, dropout=dropout)


def optimizer_at(optimizer: OptimizerConfig, rate: float | None) -> OptimizerConfig:
    """The recipe's optimiser with its peak rate at ``rate``; all its rates keep their ratio."""
    if rate is None:
        return optimizer
    if isinstance(optimizer, MuonConfig):
        ratio = rate / optimizer.learning_rate
        rest = replace(optimizer.rest, learning_rate=optimizer.rest.learning_rate * ratio)
        return replace(optimizer, learning_rate=rate, rest=rest)
    return replace(optimizer, learning_rate=rate)
