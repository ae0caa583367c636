"""From what the data is and what the user wants to the whole configuration of a run.

It is a function of data, settings and device alone; nothing here is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from undrift.advice import named, possible
from undrift.conditioning import MapSpec, Number
from undrift.conditioning.text import PretrainedText, TextSpec
from undrift.data import ImageSet
from undrift.data.sources.opening import is_path
from undrift.errors import DataError, UsageError
from undrift.families import Recipe, RecipeRequest, family_of, family_of_method
from undrift.families.grid import grid_for
from undrift.families.parameters import with_parameters
from undrift.families.points import check_points
from undrift.limits import machine_memory
from undrift.networks import are_points, at_most_parameters
from undrift.options.maps import MapRequest
from undrift.options.train import BYTE, TrainOptions, parameter_count, seconds, stored_size
from undrift.pipelines import SampleSpec
from undrift.runs.configuration import DataConfig, RunConfig, absolute
from undrift.training.compiling import check_compiler
from undrift.training.learner import Learner
from undrift.training.plan import TrainingPlan
from undrift.wording import plural

FEWEST = 4
"""Training images below which there is nothing to learn a distribution from."""

_BYTES = 4
"""Of a parameter; training takes several times as many."""


def resolve(
    source: str,
    settings: TrainOptions,
    data: ImageSet,
    *,
    device: str,
    own_network: bool = False,
) -> RunConfig:
    """The whole configuration of a run, but for what a probe measures (``training.steps`` of 1).

    Args:
        source: what the user named as data.
        settings: options that the user gave.
        data: the decoded images.
        device: ``cpu`` or ``cuda``.
        own_network: the user brings the network.

    Raises:
        UsageError: if settings do not fit the data.
    """
    train = data.split("train")
    if len(train) < FEWEST:
        hint = possible("add images or lower {holdout}", "add images")
        raise DataError(
            f"{source}: {plural(len(train), 'image')} to train on, wanted at least {FEWEST}; {hint}"
        )
    height, width, _ = train.shape
    points = are_points((height, width))
    if points:
        check_points(settings, (height, width))
    labelled = settings.conditional and train.labels is not None
    if settings.balance and not labelled:
        raise UsageError(f"{named('balance')}: the data has no labels to balance by; leave it out")
    if settings.compile:
        check_compiler(device)
    family = family_of_method(settings.method)
    if own_network and not family.own_network:
        raise UsageError(
            f"network=: method {settings.method} builds its own networks; leave it out"
        )
    budget = None if settings.budget is None else seconds(settings.budget)
    text = _text(source, train, device, settings.text_encoder) if settings.text else None
    spec = replace(
        _spec(train, labelled, settings, device),
        text=text,
        numbers=_numbers(source, train),
        maps=map_specs(settings.maps, train),
    )
    recipe = family.recipe(RecipeRequest(settings, data, spec, device, budget, own_network))
    batch, model = settings.batch_size or recipe.batch_size, recipe.model
    if settings.parameters is not None:
        model = with_parameters(model, parameter_count(settings.parameters))
    steps = _steps(settings, recipe, batch)
    if settings.budget is None and steps < (fewest := family.fewest_steps(model)):
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
            learning_rate=recipe.learning_rate,
            clip=recipe.clip,
            precision=_precision(settings, recipe, device, points),
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


def build_learner(
    config: RunConfig,
    device: torch.device | str = "cpu",
    *,
    network: nn.Module | None = None,
    eigenvalues: Tensor | None = None,
) -> Learner:
    """Make the learner of a run, at its initial weights.

    Args:
        config: the run.
        device: where to train.
        network: the user's own network, for a family that takes one.
        eigenvalues: of the training data's covariance, for a family with a reference curve.

    Raises:
        UsageError: a network of the user's own where none is wanted, or one larger than memory.
    """
    family = family_of(config.model)
    if network is not None and not family.own_network:
        raise UsageError(f"a {family.name} builds its own networks; leave network= out")
    with at_most_parameters(machine_memory() // _BYTES):
        return family.learner(
            config.model, config.training.seed, device, network=network, eigenvalues=eigenvalues
        )


def _text(source: str, train: ImageSet, device: str, encoder: str) -> TextSpec | PretrainedText:
    """The vocabulary of the training captions or a frozen model, and layers that suit the device.

    Raises:
        DataError: no training image has a caption.
        ModelFileError: there is no frozen model ``encoder``.
    """
    captions = [text for texts in train.captions or () for text in texts]
    if not captions:
        advice = "give metadata.jsonl or metadata.csv with a column text"
        raise DataError(
            f"{named('text')}: no image of {source} has a caption; "
            + possible(f"{advice}, or say with {{caption_column}} where they are", advice)
        )
    if encoder == BYTE:
        spec = TextSpec.fit(captions)
    else:
        spec = PretrainedText.fit(encoder, captions)
    return replace(spec, width=256, layers=4, heads=8) if device == "cuda" else spec


def _data(source: str, settings: TrainOptions, data: ImageSet) -> DataConfig:
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
        numbers=tuple(settings.numbers),
        maps=tuple(settings.maps),
    )


def _spec(train: ImageSet, labelled: bool, settings: TrainOptions, device: str) -> SampleSpec:
    height, width, channels = train.shape
    points = are_points((height, width))
    grid = grid_for(max(height, width), device, settings.network, points=points)
    spec = SampleSpec(
        image_shape=(channels, height, width),
        rho=grid.rho,
        sigma_min=grid.sigma_min,
        steps=grid.steps,
    )
    if not labelled or train.labels is None:
        return spec
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    return replace(
        spec,
        class_names=tuple(train.class_names),
        class_frequencies=tuple(float(n) / len(train.labels) for n in counts),
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


def map_specs(words: Sequence[str], train: ImageSet) -> tuple[MapSpec, ...]:
    """The requested maps, with their channels and classes.

    Args:
        words: see `undrift.options.maps`.
        train: images with their maps.

    Raises:
        UsageError: for one that images of this size or number of channels cannot have.
    """
    height, width, channels = train.shape
    paired = {one.name: one for one in train.maps}
    found = []
    for word in words:
        wanted = MapRequest.parse(word)
        values: tuple[tuple[int, ...], ...] = ()
        if wanted.derived is None:
            depth, values = paired[wanted.name].store.shape[3], paired[wanted.name].values
        else:
            depth = 1 if wanted.derived in ("edges", "grey") else channels
        if wanted.derived == "grey" and channels == 1:
            raise UsageError(f"{named('maps')} grey: the images are grey themselves; leave it out")
        source = wanted.derived or "paired"
        found.append(MapSpec(wanted.name, (depth, height, width), source, values, wanted.factor))
    return tuple(found)


def _steps(settings: TrainOptions, recipe: Recipe, batch: int) -> int:
    if settings.budget is not None:
        return 1
    return settings.steps or max(1, (settings.images or recipe.images) // batch)


def _precision(
    settings: TrainOptions, recipe: Recipe, device: str, points: bool
) -> Literal["float32", "bfloat16"]:
    if settings.precision != "auto":
        return settings.precision
    if points:
        return "float32"  # 8 bits of mantissa are as wide as a mode, and little time is saved
    if not recipe.bfloat16:
        return "float32"
    return "bfloat16" if device == "cuda" or multiplies_bfloat16() else "float32"


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it; without them bfloat16 is several times slower."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16") or abilities.get("bf16"))
