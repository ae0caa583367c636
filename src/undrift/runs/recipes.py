"""Recipes: from what the data is and what the user asked for to a whole configuration.

A recipe is a function of data, settings and device alone; nothing here is measured.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.advice import possible
from undrift.codec import Standardise, codec_config
from undrift.conditioning import Number
from undrift.conditioning.text import TextSpec
from undrift.data import ImageSet
from undrift.data.sources.opening import is_path
from undrift.diffusion import VE, EDMWeight
from undrift.errors import DataError, UsageError
from undrift.networks import (
    MLPConfig,
    NetworkConfig,
    TransformerConfig,
    UNetConfig,
    are_points,
)
from undrift.pipelines import SampleSpec
from undrift.runs.configuration import DataConfig, RunConfig, absolute
from undrift.runs.likelihood_recipe import for_likelihood
from undrift.runs.parameters import with_parameters
from undrift.runs.recipe import Recipe
from undrift.runs.recipes_gan import CLIP, GANRecipe, fewest_steps, gan_recipe, narrow_game
from undrift.runs.recipes_points import check_points, points_recipe
from undrift.runs.settings import TrainSettings, parameter_count, seconds, stored_size
from undrift.training.compiling import check_compiler
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.optimizers import AdamWConfig, MuonConfig, OptimizerConfig
from undrift.training.plan import TrainingPlan
from undrift.wording import plural

FEWEST = 4
"""Training images below which there is nothing to learn a distribution from."""

MOMENT_IMAGES = 20_000
"""Images that the data's mean and standard deviation are taken from."""

TINY = 12
"""Longest side, in pixels, of images that have few levels and little detail: digits, icons."""

SMALL = 40
"""Longest side of images of which three levels of resolution are enough."""

MOST_POSITIONS = 80
"""Longest side in patches that a U-Net works at: larger images are cut into patches of 2, 4, ..."""

TEXT_DROPOUT = 0.1
"""Share of captions dropped; with a half, prompts were followed under strong guidance only."""

LONG = 900.0
"""Seconds of training from which a CPU gets wider networks."""


def recipe_for(side: int, device: str, network: str | None, budget: float | None = None) -> Recipe:
    """The recipe for images whose longer side is ``side`` pixels.

    Args:
        side: pixels.
        device: ``cpu`` or ``cuda``.
        network: family of network, or None for the recipe's own choice.
        budget: seconds to train for, if that is limited.
    """
    batch, images = (256, 10_000_000) if device == "cuda" else (64, 200_000)
    if network == "mlp":
        return Recipe(MLPConfig(), AdamWConfig(), batch, images)
    long = budget is not None and budget >= LONG
    chosen = _transformer(side, device) if network == "transformer" else _unet(side, device, long)
    muon = MuonConfig(learning_rate=6e-3, rest=AdamWConfig(learning_rate=3e-3))
    recipe = Recipe(chosen, muon, batch, images)
    if side <= TINY:
        return replace(recipe, rho=3.0, sigma_min=0.05, label_dropout=0.05)
    if side <= SMALL:
        return replace(recipe, rho=4.0, sigma_min=0.05, label_dropout=0.05)
    if device == "cpu":
        # What a network that saw few images leaves of weaker noise shows as static. Minutes afford
        # so few images of this size that updates by smaller batches are worth more.
        batch = 16 if budget is not None and not long else 32
        return replace(recipe, batch_size=batch, rho=4.0, sigma_min=0.05)
    return recipe


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


def resolve(
    source: str,
    settings: TrainSettings,
    data: ImageSet,
    *,
    device: str,
    own_network: bool = False,
) -> RunConfig:
    """The whole configuration of a run, but for what a probe measures (``training.steps`` of 1).

    Args:
        source: what the user named as data.
        settings: what the user asked for.
        data: the decoded images.
        device: ``cpu`` or ``cuda``.
        own_network: the user brings the network.

    Raises:
        UsageError: if settings do not fit the data.
    """
    train = data.split("train")
    if len(train) < FEWEST:
        raise DataError(
            f"{source}: {plural(len(train), 'image')} to train on, wanted at least "
            f"{FEWEST}; {possible('add images or lower --holdout', 'add images')}"
        )
    height, width, _ = train.shape
    points = are_points((height, width))
    if points:
        check_points(settings, (height, width))
    budget = None if settings.budget is None else seconds(settings.budget)
    recipe = (
        points_recipe(device)
        if points
        else recipe_for(max(height, width), device, settings.network, budget)
    )
    labelled = settings.conditional and train.labels is not None
    text = _text(source, train, device) if settings.text else None
    if settings.balance and not labelled:
        raise UsageError("--balance: the data has no labels to balance by; leave it out")
    if settings.penalty is not None and settings.method == "diffusion":
        raise UsageError("--penalty: a diffusion model has no gradient penalty; leave it out")
    if settings.compile:
        check_compiler(device)
    spec = replace(_spec(train, labelled, recipe), text=text, numbers=_numbers(source, train))
    gan = None
    if settings.method != "diffusion":
        spec = replace(spec, steps=1)
        gan = gan_recipe(settings, spec, device, budget, own_network=own_network)
    batch = settings.batch_size or (gan or recipe).batch_size
    model = gan.model if gan else _diffusion(settings, train, spec, recipe, own_network)
    if settings.recipe == "likelihood" and isinstance(model, DiffusionConfig):
        model = for_likelihood(model, settings, data)
    if settings.parameters is not None:
        model = with_parameters(model, parameter_count(settings.parameters))
    steps = _steps(settings, gan or recipe, batch)
    if settings.budget is None and steps < (fewest := fewest_steps(model)):
        raise UsageError(
            f"{plural(steps, 'step')}: method {settings.method} updates its generator at every "
            f"{fewest}th step only; give at least {plural(fewest, 'step')}"
        )
    return RunConfig(
        data=_data(source, settings, data),
        model=model,
        training=TrainingPlan(
            steps=steps,
            batch_size=batch,
            micro_batch=settings.micro_batch,
            seed=settings.seed,
            balance=settings.balance,
            learning_rate=(gan or recipe).learning_rate,
            clip=CLIP if gan else 1.0,
            precision=_precision(settings, device, points),
            device="cuda" if device == "cuda" else "cpu",
            threads=settings.threads or torch.get_num_threads(),
            checkpoint_every=settings.checkpoint_every,
            grid_every=settings.grid_every,
            validate_every=settings.validate_every,
            evaluate_every=settings.evaluate_every,
            evaluate_samples=settings.evaluate_samples,
        ),
        budget=settings.budget,
        init=None if settings.init is None else absolute(settings.init) or settings.init,
    )


def _diffusion(
    settings: TrainSettings,
    train: ImageSet,
    spec: SampleSpec,
    recipe: Recipe,
    own_network: bool,
) -> DiffusionConfig:
    """The model of a diffusion run."""
    return DiffusionConfig(
        spec=spec,
        codec=codec_config(Standardise.fit(_spread(train))),
        network=None if own_network else _with_dropout(recipe.network, settings.dropout),
        schedule=VE(sigma_max=recipe.sigma_max),
        levels=recipe.levels,
        weighting=EDMWeight(),
        label_dropout=_or(
            settings.label_dropout, recipe.label_dropout if spec.text is None else TEXT_DROPOUT
        ),
        flip=settings.flip,
        augment=settings.augment or 0.0,
        optimizer=_optimizer(recipe, settings.learning_rate, own_network),
        compile=settings.compile,
    )


def _text(source: str, train: ImageSet, device: str) -> TextSpec:
    """The vocabulary of the training captions, and an encoder that suits the device.

    Raises:
        DataError: no training image has a caption.
    """
    captions = [text for texts in train.captions or () for text in texts]
    if not captions:
        advice = "give metadata.jsonl or metadata.csv with a column text"
        raise DataError(
            f"--text: no image of {source} has a caption; "
            + possible(f"{advice}, or say with --caption-column where they are", advice)
        )
    spec = TextSpec.fit(captions)
    return replace(spec, width=256, layers=4, heads=8) if device == "cuda" else spec


def choose_device(asked: str) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        UsageError: if CUDA is asked for and absent.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return asked


def _data(source: str, settings: TrainSettings, data: ImageSet) -> DataConfig:
    return DataConfig(
        source=source,
        fingerprint=data.fingerprint,
        size=stored_size(settings.size),
        fit=settings.fit,
        channels=settings.channels,
        background=settings.background,
        holdout=settings.holdout,
        bad_limit=settings.bad_limit,
        label_column=settings.label_column,
        caption_column=settings.caption_column,
        path=absolute(source) if is_path(source) else None,
        numbers=settings.numbers,
    )


def _spec(train: ImageSet, labelled: bool, recipe: Recipe) -> SampleSpec:
    height, width, channels = train.shape
    if not labelled or train.labels is None:
        return SampleSpec(
            shape=(channels, height, width),
            rho=recipe.rho,
            sigma_min=recipe.sigma_min,
            steps=recipe.steps,
        )
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    return SampleSpec(
        shape=(channels, height, width),
        class_names=tuple(train.class_names),
        class_frequencies=tuple(float(n) / len(train.labels) for n in counts),
        rho=recipe.rho,
        sigma_min=recipe.sigma_min,
        steps=recipe.steps,
    )


def _numbers(source: str, train: ImageSet) -> tuple[Number, ...]:
    """Moments and ranges of the training images' numbers.

    Raises:
        DataError: all are the same.
    """
    found = []
    columns = () if train.numbers is None else train.numbers.T
    for name, column in zip(train.number_names, columns, strict=True):
        low, high = float(column.min()), float(column.max())
        if low == high:
            raise DataError(
                f"{source}: {name} is {low:g} for all training images, so that nothing can be "
                "learned from it; leave it out"
            )
        found.append(Number(name, float(column.mean()), float(column.std()), low, high))
    return tuple(found)


def _spread(train: ImageSet) -> NDArray[np.uint8]:
    """Evenly spaced training images, few enough to be held in memory."""
    count = min(len(train), MOMENT_IMAGES)
    return train.take(np.linspace(0, len(train) - 1, count).astype(np.int64))


def _steps(settings: TrainSettings, recipe: Recipe | GANRecipe, batch: int) -> int:
    if settings.budget is not None:
        return 1
    return settings.steps or max(1, (settings.images or recipe.images) // batch)


def _precision(
    settings: TrainSettings, device: str, points: bool
) -> Literal["float32", "bfloat16"]:
    if settings.precision != "auto":
        return settings.precision
    if points:
        return "float32"  # 8 bits of mantissa are as wide as a mode, and little time is saved
    if settings.method != "diffusion" and not narrow_game(settings, device):
        return "float32"  # the games are decided by small differences of logits
    return "bfloat16" if device == "cuda" or multiplies_bfloat16() else "float32"


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it; without them bfloat16 is several times slower."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16") or abilities.get("bf16"))


def _with_dropout(network: NetworkConfig, dropout: float | None) -> NetworkConfig:
    return network if dropout is None else replace(network, dropout=dropout)


def _optimizer(recipe: Recipe, rate: float | None, own_network: bool) -> OptimizerConfig:
    """The recipe's optimiser with its peak rate at ``rate``; all its rates keep their ratio."""
    # Muon goes by the names of our layers; a network of the user's has others.
    optimizer = AdamWConfig() if own_network else recipe.optimizer
    if rate is None:
        return optimizer
    if isinstance(optimizer, MuonConfig):
        ratio = rate / optimizer.learning_rate
        rest = replace(optimizer.rest, learning_rate=optimizer.rest.learning_rate * ratio)
        return replace(optimizer, learning_rate=rate, rest=rest)
    return replace(optimizer, learning_rate=rate)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
