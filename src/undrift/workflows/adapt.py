"""From a trained diffusion model to an adapter of it: ``undrift adapt``."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from undrift.data import ImageSet
from undrift.data.sources.opening import is_path
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.families import family_of
from undrift.families.adapter.recipe import adaptable, adapted, refuse_known_maps
from undrift.names import find
from undrift.networks.control import ControlConfig
from undrift.networks.lora import LoRAConfig
from undrift.options.adapt import AdaptOptions
from undrift.options.maps import MapRequest, map_words
from undrift.pipelines import Pipeline
from undrift.pipelines.adapter import BaseReference
from undrift.runs.configuration import DataConfig, RunConfig, absolute
from undrift.runs.directory import RunDirectory, is_pipeline, open_run
from undrift.runs.images import find_images, load_images
from undrift.runs.progress import OnTraining
from undrift.runs.recipes import FEWEST, map_specs
from undrift.runs.unfinished import configuration_of
from undrift.training.learners.adapter import AdapterConfig
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.wording import plural
from undrift.workflows.planning import Start, config_from_run, is_finished
from undrift.workflows.train import Run, train_run


def adapt_run(
    base: str,
    data: str | None,
    options: AdaptOptions,
    *,
    console: Console,
    callback: OnTraining | None = None,
) -> Run:
    """Train an adapter of a finished run, whose weights stay as they are.

    The same call with the same ``out`` resumes it, as ``undrift train`` of the adapter's run does.

    Args:
        base: the run.
        data: images to train on; None: the run's own.
        options: the adapter and its length.
        console: where to show progress.
        callback: called after every update.

    Raises:
        UsageError: a base that cannot be adapted so.
        ModelFileError: no run, an unfinished or a damaged one.
        DataError: images that are not there, or lack a map.
    """
    if is_pipeline(base):
        raise UsageError(f"{base}: a pipeline; name its run, which says how it was trained")
    run = open_run(base)
    stored = configuration_of(run)
    trained = adaptable(base, stored.model, family_of(stored.model).noun)
    if not is_finished(run, stored):
        raise ModelFileError(f"{run.path}: not finished; undrift train {run.path} goes on with it")
    source, wanted = _data(run, stored, data, options)
    images = load_images(source, wanted)
    config = _config(
        run, stored, trained, replace(wanted, fingerprint=images.fingerprint), images, options
    )
    lacking = _lacking(trained.spec.class_names, images)
    if lacking:
        console.print(
            f"note: the base has no class {', '.join(lacking)}: learned as images without a "
            "class, which `undrift sample --guidance 0` draws"
        )
    out = None if options.out is None else RunDirectory(options.out)
    if out is not None and out.is_run:
        config = _as_begun(config, configuration_of(out))
    return train_run(
        Start(out, source, config, origin=str(run.path)),
        options.training(),
        console=console,
        callback=callback,
    )


def _as_begun(config: RunConfig, begun: RunConfig) -> RunConfig:
    """``config`` with as many images of the base as the run was begun with, which no option sets.

    Runs of versions that drew none go on without.
    """
    model, stored = config.model, begun.model
    if not isinstance(model, AdapterConfig) or not isinstance(stored, AdapterConfig):
        return config
    return replace(config, model=replace(model, base_images=stored.base_images))


def _data(
    run: RunDirectory, stored: RunConfig, data: str | None, options: AdaptOptions
) -> tuple[str, DataConfig]:
    """Where the images are, and how they are read: with the base's size and channels."""
    channels, height, width = stored.model.spec.image_shape
    requested = [MapRequest.parse(word).name for word in options.condition]
    refuse_known_maps(stored.model.spec.maps, requested)
    maps = map_words([*stored.data.maps, *options.condition])
    if data is None:
        return find_images(stored.data, run.path), replace(stored.data, maps=maps)
    size = width if width == height else f"{width}x{height}"
    wanted = DataConfig(
        source=data,
        fingerprint="",
        size=size,
        fit=stored.data.fit,
        channels=channels,  # type: ignore[arg-type] - 1, 3 or 4, as the base has
        background=stored.data.background,
        holdout=stored.data.holdout,
        bad_limit=stored.data.bad_limit,
        caption_column=stored.data.caption_column,
        path=absolute(data) if is_path(data) else None,
        numbers=stored.data.numbers,
        maps=maps,
    )
    return data, wanted


def _config(
    run: RunDirectory,
    stored: RunConfig,
    trained: DiffusionConfig,
    data: DataConfig,
    images: ImageSet,
    options: AdaptOptions,
) -> RunConfig:
    train = images.split("train")
    if len(train) < FEWEST:
        raise DataError(
            f"{data.source}: {plural(len(train), 'image')} to train on, wanted at least {FEWEST}"
        )
    pipeline = Pipeline.from_pretrained(run.pipeline)
    reference = BaseReference(str(run.pipeline.absolute()), pipeline.fingerprint)
    shape = ControlConfig() if options.lora is None else LoRAConfig(rank=options.lora)
    plan = stored.training
    recipe = adapted(
        trained,
        reference,
        shape,
        map_specs(options.condition, train),
        plan.batch_size,
        plan.steps * plan.batch_size,
        options.learning_rate,
        _classes(trained.spec.class_names, images),
    )
    balance = plan.balance and train.labels is not None
    return config_from_run(options, data, recipe, balance=balance)


def _classes(known: tuple[str, ...], images: ImageSet) -> tuple[int, ...] | None:
    """The base's index of each class of the images, -1 of one that it does not have."""
    if images.class_names == known or not known:
        return None
    return tuple(-1 if index is None else index for index in _places(known, images))


def _lacking(known: tuple[str, ...], images: ImageSet) -> list[str]:
    """Names of the classes of the images that a base with the classes ``known`` does not have."""
    if not known:
        return []
    names = zip(images.class_names, _places(known, images), strict=True)
    return [name for name, index in names if index is None]


def _places(known: tuple[str, ...], images: ImageSet) -> list[int | None]:
    place = {name: i for i, name in enumerate(known)}
    return [find(name, place) for name in images.class_names]
