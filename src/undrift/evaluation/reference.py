"""Reference images of an evaluation, and their features: what samples are compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.data import DataReport
from undrift.errors import UsageError
from undrift.evaluation.target import Target, content_hash
from undrift.metrics import Comparison, Images, open_spaces
from undrift.metrics.features import Classifier, FeatureExtractor, OnFit
from undrift.metrics.features.stored import cached_features
from undrift.names import find
from undrift.options import FeatureOptions

OnFeatures = Callable[[float], None]
"""Called with the expected seconds per image, before any features are computed."""

_TIMED = 16


@dataclass(frozen=True, eq=False)
class WholeSet:
    """A set of real images that samples must differ from.

    Attributes:
        name: "test", "validation", "train", or "all".
        count: number of images.
        images: (count, H, W, C), None where only their hash is stored.
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
class ReferenceImages:
    """Real images of one split.

    Attributes:
        source: what the user named.
        split: name of ``images``: "test", "validation", "train", or "all".
        images: what samples are compared with.
        training: training images of the model and of the classifier; all of ``images`` where
            nothing was held out, None where only features are stored.
        classes: names of the labels.
        fingerprint: hash of the pixels, labels and splits.
        sets: sets that samples must differ from: these images, and all of the data.
        report: what loading them found, where they are a data set.
        number_names: names of the columns of the images' numbers.
    """

    source: str
    split: str
    images: Images
    training: Images | None
    classes: tuple[str, ...]
    fingerprint: str
    sets: tuple[WholeSet, ...]
    report: DataReport | None = None
    number_names: tuple[str, ...] = ()

    @property
    def fitted_on(self) -> Images:
        """The images that a feature space is fitted on."""
        return self.images if self.training is None else self.training

    @property
    def held_out(self) -> bool:
        """Whether ``images`` were held out from the training of the model and the features."""
        return self.training is not self.images

    @property
    def space(self) -> str:
        """The feature space by default, see `undrift.metrics.features.open_extractor`."""
        return "domain"

    def in_space(
        self,
        n: int,
        seed: int,
        options: FeatureOptions,
        device: torch.device | str,
        *,
        classify: bool = True,
        on_features: OnFeatures | None = None,
        on_fit: OnFit | None = None,
    ) -> Reference:
        """Draw ``n`` of the images at most, and open the feature space and the classifier.

        Args:
            n: images at most.
            seed: of the draw and of every random choice of the metrics.
            options: the feature space.
            device: where to compute.
            classify: whether a classifier is needed.
            on_features: called with the seconds per image.
            on_fit: called while a feature network is fitted.

        Raises:
            UsageError: an unknown space, or weights that are missing.
            ModelFileError: weights that are damaged, or not those of the stored features.
        """
        drawn = self.images.draw(n, seed, "reference")
        extractor, classifier = open_spaces(
            self.fitted_on,
            options.features or self.space,
            classify=classify,
            device=device,
            weights=options.feature_weights,
            download=options.download,
            on_fit=on_fit,
        )
        if on_features is not None:
            on_features(seconds_per_image(extractor, drawn.images))
        key = f"{self.fingerprint}-{self.split}-{n}-{seed}"
        own = None if self.held_out else self.images.rows(n, seed, "reference")
        return Reference(self, drawn, extractor, classifier, seed, key, own_rows=own)

    def labels_of(
        self, target: Target, labels: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        """``labels`` (n,) of ``target``, numbered like the classes of the reference.

        They are matched by name; where no name is known there and all are numbers, by number.

        Returns:
            None where either side has none.

        Raises:
            UsageError: a class that the reference lacks.
        """
        if labels is None or self.images.labels is None:
            return None
        there, names = self.classes, target.classes
        index = {name: i for i, name in enumerate(there)}
        found = {name: find(name, index) for name in names}
        numbers = {name: i for name, i in found.items() if i is not None}
        if not numbers and all(name.isdecimal() for name in names):
            numbers = {name: int(name) for name in names if int(name) < len(there)}
        used = [names[label] for label in np.unique(labels)]
        unknown = [name for name in used if name not in numbers]
        if unknown:
            raise UsageError(
                f"{target.name}: its class {unknown[0]!r} is not in {self.source}, "
                f"which has {', '.join(there[:12])}; compare data of the same classes"
            )
        table = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
        return table[labels]


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images in a feature space, opened once for any number of sets of samples.

    Attributes:
        source: where the real images come from.
        images: those that samples are compared with.
        extractor: the feature space.
        classifier: predicts the class of an image; None without labels.
        seed: of every random choice.
        key: of the features of ``images`` in the cache.
        known: (m, D) features of ``images``, where they are stored.
        own_rows: (m,) rows of ``images`` in the training images, where nothing was held out; else
            None.
        known_floor: features of other real images, where they are stored.
        floor_labels: labels of those.
    """

    source: ReferenceImages
    images: Images
    extractor: FeatureExtractor
    classifier: Classifier | None
    seed: int
    key: str = ""
    known: NDArray[np.floating] | None = None
    own_rows: NDArray[np.int64] | None = None
    known_floor: NDArray[np.floating] | None = None
    floor_labels: NDArray[np.int64] | None = None

    @cached_property
    def features(self) -> NDArray[np.floating]:
        """(m, D) features of ``images``, computed on first use."""
        if self.known is not None:
            return self.known
        return cached_features(self.extractor, self.images.images, key=self.key)

    def comparison(self, samples: Images, target: Target) -> Comparison:
        """A comparison of the samples of ``target`` with the real images.

        Raises:
            UsageError: a class that the reference lacks.
        """
        return self._compared(self.renamed(samples, target), self.features)

    def before_sampling(self, count: int, target: Target) -> Comparison:
        """A comparison whose ``count`` samples have the right size, and labels if they have any.

        It says which metrics are possible; its samples are not there yet.
        """
        shape = self.images.images.shape[1:]
        both = target.labelled and self.images.labels is not None
        labels = np.zeros(count, np.int64) if both else None
        return self._compared(Images.unseen(count, shape, labels), self.known)

    @property
    def floor(self) -> Comparison | None:
        """A comparison of up to as many other real images; None where there are none."""
        made = self._compared(self.images, self.features)
        count = min(made.others, len(self.images))
        return made.real_in_place(count) if count else None

    def _compared(self, samples: Images, known: NDArray[np.floating] | None) -> Comparison:
        return Comparison(
            samples,
            self.images,
            self.source.training,
            self.extractor,
            self.classifier,
            self.source.classes,
            self.seed,
            self.source.split,
            known,
            self.source.training is not None,
            self.own_rows,
            self.known_floor,
            self.floor_labels,
            self.source.number_names,
        )

    def renamed(self, samples: Images, target: Target) -> Images:
        """Samples with labels numbered like the classes of the reference.

        Raises:
            UsageError: a class that the reference lacks.
        """
        return replace(samples, labels=self.source.labels_of(target, samples.labels))


class Comparisons:
    """Comparisons of several sets of samples of one target with one reference.

    What does not depend on the samples, values of real images among it, is computed once.

    Args:
        reference: real images in a feature space.
        target: names the classes of the samples.
    """

    def __init__(self, reference: Reference, target: Target) -> None:
        self.target = target
        self._reference = reference
        self._last: Comparison | None = None

    def of(self, samples: Images) -> Comparison:
        """A comparison of ``samples`` with the reference.

        Raises:
            UsageError: a class that the reference lacks.
        """
        if self._last is None:
            self._last = self._reference.comparison(samples, self.target)
        else:
            self._last = self._last.beside(self._reference.renamed(samples, self.target))
        return self._last


def seconds_per_image(extractor: FeatureExtractor, images: NDArray[np.uint8]) -> float:
    """Seconds that the features of one image take, measured on the first few."""
    few = images[:_TIMED]
    extractor.features(few[:1])  # the first call of a network takes longer
    began = time.perf_counter()
    extractor.features(few)
    return (time.perf_counter() - began) / len(few)
