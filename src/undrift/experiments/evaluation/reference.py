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

FEWEST_HELD_OUT = 2
"""Held-out images below which all images are the reference: one is no distribution."""


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
        content: hash of the images where only their features are here, else None.
    """

    source: str
    split: str
    images: Images
    training: Images | None
    classes: tuple[str, ...]
    fingerprint: str
    content: str | None = None

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
        UsageError: no reference, or no such split.
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
    return _divided(data, source, split)


def check(subject: Subject, reference: Reference) -> None:
    """Make sure that ``subject`` can be held against ``reference``.

    Raises:
        UsageError: another image size, or the reference itself.
    """
    shape = reference.images.images.shape[1:]
    if shape != subject.shape:
        raise UsageError(
            f"samples {_size(subject.shape)} and reference {_size(shape)} differ in size or "
            "channels; compare images of one size"
        )
    given = subject.given
    if given is None or len(given) != len(reference.images):
        return
    content = reference.content or content_hash(reference.images.images)
    if content_hash(given.images) == content:
        raise UsageError(
            f"{subject.name}: the samples are the {reference.split} images of {reference.source} "
            "themselves; give other samples or another --reference"
        )


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
        candidates: tuple[Split, ...] = ("test", "validation")
        split = next((name for name in candidates if len(parts[name]) >= FEWEST_HELD_OUT), None)
    elif not len(parts[split]):
        there = ", ".join(name for name, part in parts.items() if len(part))
        raise UsageError(f"--split {split}: {source} has no such images; it has {there}")
    training = parts["train"]
    if split is None or not len(training):
        whole = Images(np.asarray(data.images), data.labels)
        return Reference(source, "all", whole, None, data.class_names, data.fingerprint)
    chosen = parts[split]
    return Reference(
        source,
        split,
        Images(chosen.images, chosen.labels),
        Images(training.images, training.labels),
        data.class_names,
        data.fingerprint,
    )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
