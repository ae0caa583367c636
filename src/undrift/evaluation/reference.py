"""The real images that samples are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import undrift.data
from undrift.advice import possible
from undrift.data import DataReport, ImageSet
from undrift.errors import DataError, UsageError
from undrift.evaluation.subject import Subject, content_hash, is_drawn, open_subject
from undrift.files.reading import expanded
from undrift.metrics import Images
from undrift.names import find
from undrift.runs.directory import RunDirectory, is_pipeline
from undrift.runs.images import image_count, load_own
from undrift.wording import dimensions, plural

Split = Literal["test", "validation", "train"]

FEWEST_HELD_OUT = 2
"""Held-out images below which all images are the reference: one is no distribution."""


@dataclass(frozen=True, eq=False)
class WholeSet:
    """A set of real images that samples must not be.

    Attributes:
        name: "test", "validation", "train", or "all".
        count: of its images.
        images: (count, H, W, C), None where only their hash is known.
        known: that hash.
    """

    name: str
    count: int
    images: NDArray[np.uint8] | None = None
    known: str = ""

    @cached_property
    def content(self) -> str:
        """Hexadecimal, see `content_hash`."""
        return self.known if self.images is None else content_hash(self.images)


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images, split.

    Attributes:
        source: what the user named.
        split: what ``images`` are called: "test", "validation", "train", or "all".
        images: what samples are compared with.
        training: what the model was trained on, and the classifier is; all of ``images`` where
            nothing was held out, None where only features are here.
        classes: names of the labels.
        fingerprint: names the pixels, labels and splits.
        sets: what samples must not be: these images, and all of the data.
        report: what loading them found, where they are a data set.
    """

    source: str
    split: str
    images: Images
    training: Images | None
    classes: tuple[str, ...]
    fingerprint: str
    sets: tuple[WholeSet, ...]
    report: DataReport | None = None

    @property
    def known(self) -> Images:
        """What a feature space is fitted on."""
        return self.images if self.training is None else self.training

    @property
    def held_out(self) -> bool:
        """Whether a model and the feature space may not have seen ``images``."""
        return self.training is not self.images

    def labels_of(
        self, subject: Subject, labels: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        """``labels`` (n,) of ``subject`` as the reference numbers its classes.

        They are matched by name; where no name is known there and all are numbers, by number.

        Returns:
            None where either side has none.

        Raises:
            UsageError: a class that the reference lacks.
        """
        if labels is None or self.images.labels is None:
            return None
        there, names = self.classes, subject.classes
        index = {name: i for i, name in enumerate(there)}
        found = {name: find(name, index) for name in names}
        numbers = {name: i for name, i in found.items() if i is not None}
        if not numbers and all(name.isdecimal() for name in names):
            numbers = {name: int(name) for name in names if int(name) < len(there)}
        used = [names[label] for label in np.unique(labels)]
        strangers = [name for name in used if name not in numbers]
        if strangers:
            raise UsageError(
                f"{subject.name}: its class {strangers[0]!r} is not in {self.source}, "
                f"which has {', '.join(there[:12])}; compare data of the same classes"
            )
        table = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
        return table[labels]


def open_reference(
    subject: Subject,
    source: str | Subject | None,
    split: Split | None,
    label_column: str | None = None,
) -> Reference:
    """The reference of ``subject``.

    Args:
        subject: what is evaluated.
        source: data to compare with, or images that are open already; None is what the run was
            trained on.
        split: which part; None is the first there is of test, validation and all.
        label_column: column of the metadata of ``source`` that holds the labels; None is ``label``.

    Raises:
        UsageError: no reference, a model in its place, or no such split.
        DataError: data that cannot be read.
    """
    if source is None:
        if subject.config is None:
            hint = possible("name real images by --reference DATA", "name real images")
            raise UsageError(f"{subject.name}: nothing to compare it with; {hint}")
        data = load_own(subject.config.data, subject.home)
        source = subject.config.data.source
    elif isinstance(source, Subject):
        if source.pipeline is not None:
            raise UsageError(
                f"reference {source.name}: a model is no set of real images; give images"
            )
        return _samples_of_others(source, split)
    else:
        path = expanded(source, DataError)
        if RunDirectory(path).is_run or is_pipeline(path):
            raise UsageError(
                f"--reference {source}: a model is no set of real images; name its data, or a "
                "folder that `undrift sample` wrote"
            )
        if is_drawn(path):
            return _samples_of_others(open_subject(source), split)
        data = _load(subject, source, label_column)
    return _divided(data, source, split)


def check(subject: Subject, reference: Reference) -> None:
    """Make sure that ``subject`` can be held against ``reference``: the one place that does.

    Raises:
        UsageError: another image size or number of channels, classes that the reference lacks, the
            reference itself, or features of other data than a run's own.
    """
    shape = reference.images.images.shape[1:]
    if shape != subject.shape:
        raise UsageError(
            f"samples {_size(subject.shape)} and reference {_size(shape)} differ in size or "
            "channels; compare images of one size"
        )
    config = subject.config
    if (
        reference.training is None
        and config is not None
        and config.data.fingerprint != reference.fingerprint
    ):
        raise UsageError(
            f"{reference.source} holds features of other data ({_counted(reference.sets)}) than "
            f"{subject.name} was trained on ({image_count(subject.home)}); name the images "
            "themselves by --reference DATA, or store a reference of the run"
        )
    given = subject.given
    every = np.arange(len(subject.classes)) if subject.classes else None
    reference.labels_of(subject, every if given is None else given.labels)
    for whole in reference.sets:
        if given is None or len(given) != whole.count:
            continue
        if content_hash(given.images) == whole.content:
            which = "images" if whole.name == "all" else f"{whole.name} images"
            raise UsageError(
                f"{subject.name}: the samples are the {which} of {reference.source} themselves; "
                "give other samples or another --reference"
            )


def _load(subject: Subject, source: str, label_column: str | None) -> ImageSet:
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
            label_column=label_column,
        )
    model = subject.pipeline is not None
    return undrift.data.load(
        source,
        size=(height, width) if model else None,
        channels=channels if model else None,
        holdout=0,
        label_column=label_column,
    )


def _samples_of_others(given: Subject, split: Split | None) -> Reference:
    """Images without splits in the place of real ones."""
    if split is not None:
        raise UsageError(f"--split {split}: {given.name} holds samples, which have no splits")
    whole = WholeSet("all", len(given.samples), given.samples.images)
    images, classes = given.samples, given.classes
    content, report = whole.content, given.report
    return Reference(given.name, "all", images, images, classes, content, (whole,), report)


def _divided(data: ImageSet, source: str, split: Split | None) -> Reference:
    parts = {name: data.split(name) for name in ("test", "validation", "train")}
    training = parts["train"]
    if split is None and len(training):
        candidates: tuple[Split, ...] = ("test", "validation")
        split = next((name for name in candidates if len(parts[name]) >= FEWEST_HELD_OUT), None)
    elif split is not None and not len(parts[split]):
        there = ", ".join(name for name, part in parts.items() if len(part))
        raise UsageError(f"--split {split}: {source} has no such images; it has {there}")
    everything = WholeSet("all", len(data), data.images)
    if split is None:
        images = Images(np.asarray(data.images), data.labels)
        name, seen, sets = "all", images, (everything,)
    else:
        chosen = parts[split]
        images = Images(chosen.images, chosen.labels)
        apart = split != "train" and len(training)
        seen = Images(training.images, training.labels) if apart else images
        name, sets = split, (WholeSet(split, len(chosen), chosen.images), everything)
    classes, fingerprint = data.class_names, data.fingerprint
    return Reference(source, name, images, seen, classes, fingerprint, sets, data.report)


def _counted(sets: Sequence[WholeSet]) -> str:
    """How many images all of the data has."""
    counts = {whole.name: whole.count for whole in sets}
    return plural(counts.get("all", max(counts.values(), default=0)), "image")


def _size(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{dimensions(height, width)}x{channels}"
