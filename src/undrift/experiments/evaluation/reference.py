"""The real images that samples are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

import undrift.data
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.experiments.evaluation.subject import Subject, content_hash
from undrift.metrics import Images
from undrift.runs.images import load_images

Split = Literal["test", "validation", "train"]


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images, split.

    Attributes:
        source: what the user named.
        split: what ``images`` are called: "test", "validation", "train", or "all".
        images: what samples are compared with.
        training: what the model was trained on, and the classifier is; None where the reference is
            one undivided set, on all of which the classifier is trained.
        classes: names of the labels.
        fingerprint: names the pixels, labels and splits.
    """

    source: str
    split: str
    images: Images
    training: Images | None
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def known(self) -> Images:
        """What a feature space is fitted on."""
        return self.images if self.training is None else self.training


def open_reference(subject: Subject, source: str | None, split: Split | None) -> Reference:
    """The reference of ``subject``.

    Args:
        subject: what is evaluated.
        source: data to compare with; None is what the run was trained on.
        split: which part; None is the first there is of test, validation and all.

    Raises:
        UsageError: no reference, no such split, another image size, or the samples themselves.
        DataError: data that cannot be read.
    """
    if source is None:
        if subject.config is None:
            raise UsageError(
                f"{subject.name}: nothing to compare it with; name real images by --reference DATA"
            )
        asked = subject.config.data
        data = load_images(asked.source, asked)
        source = asked.source
        if data.fingerprint != asked.fingerprint:
            raise UsageError(
                f"{asked.source}: it no longer holds the images that {subject.name} was trained "
                "on; name others by --reference DATA"
            )
    else:
        data = _load(subject, source)
    found = _divided(data, source, split)
    if found.images.images.shape[1:] != subject.shape:
        raise UsageError(
            f"samples {_size(subject.shape)} and reference {_size(data.shape)} differ in size or "
            "channels; compare images of one size"
        )
    if subject.given is not None and len(subject.given) == len(found.images):
        if content_hash(subject.given.images) == content_hash(found.images.images):
            raise UsageError(
                f"{subject.name}: the samples are the {found.split} images of {source} themselves; "
                "give other samples or another --reference"
            )
    return found


def _load(subject: Subject, source: str) -> ImageSet:
    """Data as the model would have seen it, if there is a model; else as it is."""
    height, width, channels = subject.shape
    if subject.config is not None:
        asked = subject.config.data
        return undrift.data.load(
            source,
            size=(height, width),
            fit=asked.fit,
            channels=channels,
            background=asked.background,
            holdout=0,
        )
    if subject.pipeline is not None:
        return undrift.data.load(source, size=(height, width), channels=channels, holdout=0)
    return undrift.data.load(source, holdout=0)


def _divided(data: ImageSet, source: str, split: Split | None) -> Reference:
    parts = {name: data.split(name) for name in ("test", "validation", "train")}
    if split is None:
        split = next((name for name in ("test", "validation") if len(parts[name])), None)
    elif not len(parts[split]):
        there = ", ".join(name for name, part in parts.items() if len(part))
        raise UsageError(f"--split {split}: {source} has no such images; it has {there}")
    training = parts["train"]
    if split is None or not len(training):
        whole = Images(np.asarray(data.images), data.labels)
        return Reference(source, "all", whole, None, data.class_names, data.fingerprint)
    held_out = parts[split]
    return Reference(
        source,
        split,
        Images(held_out.images, held_out.labels),
        Images(training.images, training.labels),
        data.class_names,
        data.fingerprint,
    )


def _size(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))
