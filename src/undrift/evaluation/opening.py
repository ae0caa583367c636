"""Opening a reference, and checking that samples can be compared with it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import undrift.data
from undrift.advice import named
from undrift.data import ImageSet
from undrift.errors import DataError, UsageError
from undrift.evaluation.reference import ReferenceImages, WholeSet
from undrift.evaluation.stored_reference import is_stored, open_stored
from undrift.evaluation.target import ImageSource, Target, content_hash, is_drawn, open_target
from undrift.files.reading import expanded
from undrift.metrics import Images
from undrift.metrics.images import GivenMap
from undrift.options import Split
from undrift.pipelines.maps import paired_spec
from undrift.runs.directory import RunDirectory, is_pipeline
from undrift.runs.images import image_count, load_own
from undrift.wording import dimensions, plural

FEWEST_HELD_OUT = 2
"""Held-out images below which all images are the reference: statistics of one are undefined."""


def open_reference(
    target: Target,
    source: ImageSource | Target | None,
    split: Split | None,
    label_column: str | None = None,
) -> ReferenceImages:
    """Open the reference of ``target``.

    Args:
        target: what is evaluated.
        source: data, images in memory, or a file that `store_reference` wrote; None is the data
            that the run was trained on.
        split: which part; None is the first there is of test, validation and all.
        label_column: column of the metadata of ``source`` that holds the labels; None is ``label``.

    Raises:
        UsageError: no reference, a model in its place, or no such split.
        DataError: data that cannot be read.
    """
    if source is None:
        if target.config is None:
            raise UsageError(
                f"{target.name}: nothing to compare it with; name real images by "
                f"{named('reference')}"
            )
        data = load_own(target.config.data, target.home)
        source = target.config.data.source
    elif not isinstance(source, str | os.PathLike):
        return _without_splits(open_target(source, parameter="reference"), split)
    elif is_stored(source):
        return open_stored(source, split)
    else:
        source = os.fspath(source)
        path = expanded(source, DataError)
        if RunDirectory(path).is_run or is_pipeline(path):
            raise UsageError(
                f"{named('reference')} {source}: a model is no set of real images; name its data, "
                "or a folder that `undrift sample` wrote"
            )
        if is_drawn(path):
            return _without_splits(open_target(source), split)
        data = _load(target, source, label_column)
    return _divided(data, source, split)


def check(target: Target, reference: ReferenceImages) -> None:
    """Check that samples of ``target`` can be compared with ``reference``.

    Raises:
        UsageError: another image size or number of channels, classes that the reference lacks, the
            reference itself, or features of other data than a run's own.
    """
    shape = reference.images.images.shape[1:]
    if shape != target.shape:
        raise UsageError(
            f"samples {_size(target.shape)} and reference {_size(shape)} differ in size or "
            "channels; compare images of one size"
        )
    config = target.config
    if (
        reference.training is None
        and config is not None
        and config.data.fingerprint != reference.fingerprint
    ):
        raise UsageError(
            f"{reference.source} holds features of other data ({_counted(reference.sets)}) than "
            f"{target.name} was trained on ({image_count(target.home)}); name the images "
            f"themselves by {named('reference')}, or store a reference of the run"
        )
    given = target.given
    every = np.arange(len(target.classes)) if target.classes else None
    reference.labels_of(target, every if given is None else given.labels)
    for whole in reference.sets:
        if given is None or len(given) != whole.count:
            continue
        if content_hash(given.images) == whole.content:
            which = "images" if whole.name == "all" else f"{whole.name} images"
            raise UsageError(
                f"{target.name}: the samples are the {which} of {reference.source} themselves; "
                "give other samples or another "
                f"{named('reference')}"
            )


def _load(target: Target, source: str, label_column: str | None) -> ImageSet:
    """Data with the size and channels of the model, if there is one; else as it is."""
    height, width, channels = target.shape
    if target.config is not None:
        own = target.config.data
        return undrift.data.load(
            source,
            size=(height, width),
            fit=own.fit,
            channels=channels,
            background=own.background,
            holdout=0,
            label_column=label_column,
        )
    model = target.pipeline is not None
    return undrift.data.load(
        source,
        size=(height, width) if model else None,
        channels=channels if model else None,
        holdout=0,
        label_column=label_column,
    )


def _without_splits(given: Target, split: Split | None) -> ReferenceImages:
    if given.pipeline is not None:
        raise UsageError(f"reference {given.name}: a model is no set of real images; give images")
    if split is not None:
        raise UsageError(
            f"{named('split')} {split}: {given.name} holds samples, which have no splits"
        )
    whole = WholeSet("all", len(given.samples), given.samples.images)
    images, classes = given.samples, given.classes
    content, report = whole.content, given.report
    return ReferenceImages(given.name, "all", images, images, classes, content, (whole,), report)


def _divided(data: ImageSet, source: str, split: Split | None) -> ReferenceImages:
    parts = {name: data.split(name) for name in ("test", "validation", "train")}
    training = parts["train"]
    if split is None and len(training):
        candidates: tuple[Split, ...] = ("test", "validation")
        split = next((name for name in candidates if len(parts[name]) >= FEWEST_HELD_OUT), None)
    elif split is not None and not len(parts[split]):
        there = ", ".join(name for name, part in parts.items() if len(part))
        raise UsageError(f"{named('split')} {split}: {source} has no such images; it has {there}")
    everything = WholeSet("all", len(data), data.images)
    if split is None:
        images = _images(data)
        name, seen, sets = "all", images, (everything,)
    else:
        chosen = parts[split]
        images = _images(chosen)
        apart = split != "train" and len(training)
        seen = _images(training) if apart else images
        name, sets = split, (WholeSet(split, len(chosen), chosen.images), everything)
    classes, fingerprint = data.class_names, data.fingerprint
    return ReferenceImages(
        source, name, images, seen, classes, fingerprint, sets, data.report, data.number_names
    )


def _images(data: ImageSet) -> Images:
    return described(data, np.asarray(data.images), np.arange(len(data)))


def described(data: ImageSet, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Images:
    """Images with their labels, the first caption of each, their numbers and paired maps.

    Args:
        data: what says it.
        pixels: of the images at ``rows``, (len(rows), H, W, C).
        rows: of ``data``.
    """
    captions = None
    if data.captions is not None:
        captions = tuple(next(iter(data.captions[row]), "") for row in rows)
    maps = tuple(
        GivenMap(paired_spec(one), one.take(data.rows[rows]).astype(np.int16)) for one in data.maps
    )
    labels = None if data.labels is None else data.labels[rows]
    numbers = None if data.numbers is None else data.numbers[rows]
    return Images(pixels, labels, captions, numbers, maps)


def _counted(sets: Sequence[WholeSet]) -> str:
    """How many images all of the data has."""
    counts = {whole.name: whole.count for whole in sets}
    return plural(counts.get("all", max(counts.values(), default=0)), "image")


def _size(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{dimensions(height, width)}x{channels}"
