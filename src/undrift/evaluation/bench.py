"""What samples are held against: real images, a feature space and a classifier, opened once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.evaluation.reference import Reference
from undrift.evaluation.subject import Subject
from undrift.metrics import Comparison, Images, open_spaces
from undrift.metrics.features import Classifier, FeatureExtractor, OnFit
from undrift.metrics.features.stored import cached_features

OnFeatures = Callable[[float], None]
"""Called with the expected seconds per image, before any features are computed."""

_TIMED = 16


@dataclass(frozen=True, eq=False)
class Bench:
    """Any number of sets of samples are measured on it, all against the same.

    Attributes:
        reference: where the real images come from.
        held_out: those that samples are compared with.
        extractor: the feature space.
        classifier: names what an image shows; None without labels.
        seed: of every random choice.
        key: what ``held_out`` are called in the cache.
        known: (m, D) features of ``held_out``, where somebody has them already.
        own_rows: (m,) rows of the reference's training images that ``held_out`` are, where nothing
            was held out; else None.
        known_floor: features of other real images, and
        floor_labels: what they show, where there are no training images.
    """

    reference: Reference
    held_out: Images
    extractor: FeatureExtractor
    classifier: Classifier | None
    seed: int
    key: str = ""
    known: NDArray[np.floating] | None = None
    own_rows: NDArray[np.int64] | None = None
    known_floor: NDArray[np.floating] | None = None
    floor_labels: NDArray[np.int64] | None = None

    @classmethod
    def open(
        cls,
        reference: Reference,
        n: int,
        seed: int,
        *,
        features: str,
        weights: str | None,
        download: bool,
        device: torch.device | str,
        classify: bool = True,
        on_features: OnFeatures | None = None,
        on_fit: OnFit | None = None,
    ) -> Bench:
        """Draw at most ``n`` real images and open the spaces, see `undrift.metrics.open_spaces`.

        Raises:
            UsageError: an unknown space, or weights that are missing.
            ModelFileError: weights that are damaged.
        """
        held_out = reference.images.draw(n, seed, "reference")
        extractor, classifier = open_spaces(
            reference.known,
            features,
            classify=classify,
            device=device,
            weights=weights,
            download=download,
            on_fit=on_fit,
        )
        if on_features is not None:
            on_features(seconds_per_image(extractor, held_out.images))
        key = f"{reference.fingerprint}-{reference.split}-{n}-{seed}"
        own = None if reference.held_out else reference.images.rows(n, seed, "reference")
        return cls(reference, held_out, extractor, classifier, seed, key, own_rows=own)

    @cached_property
    def features(self) -> NDArray[np.floating]:
        """(m, D) of ``held_out``; computed when first asked for, after samples were drawn."""
        if self.known is not None:
            return self.known
        return cached_features(self.extractor, self.held_out.images, key=self.key)

    def comparison(self, samples: Images, subject: Subject) -> Comparison:
        """The samples of ``subject`` beside the real images.

        Raises:
            UsageError: a class that the reference lacks.
        """
        return self._beside(self.renamed(samples, subject), self.features)

    def stand_in(self, count: int, subject: Subject) -> Comparison:
        """That of ``count`` samples of ``subject`` before these are drawn: only these are true."""
        shape = self.held_out.images.shape[1:]
        both = subject.labelled and self.held_out.labels is not None
        labels = np.zeros(count, np.int64) if both else None
        return self._beside(Images.unseen(count, shape, labels), self.known)

    @property
    def floor(self) -> Comparison | None:
        """Up to as many other real images as ``held_out`` beside these; None where there are none.

        Its samples and their features are what a stored reference needs for floors.
        """
        made = self._beside(self.held_out, self.features)
        count = min(made.others, len(self.held_out))
        return made.real_in_place(count) if count else None

    def _beside(self, samples: Images, known: NDArray[np.floating] | None) -> Comparison:
        return Comparison(
            samples,
            self.held_out,
            self.reference.training,
            self.extractor,
            self.classifier,
            self.reference.classes,
            self.seed,
            self.reference.split,
            known,
            self.reference.training is not None,
            self.own_rows,
            self.known_floor,
            self.floor_labels,
        )

    def renamed(self, samples: Images, subject: Subject) -> Images:
        """Samples with their labels as the reference numbers its classes.

        Raises:
            UsageError: a class that the reference lacks.
        """
        return Images(samples.images, self.reference.labels_of(subject, samples.labels))


def seconds_per_image(extractor: FeatureExtractor, images: NDArray[np.uint8]) -> float:
    """What the features of one image take, by those of the first few."""
    few = images[:_TIMED]
    extractor.features(few[:1])  # the first call of a network takes longer
    began = time.perf_counter()
    extractor.features(few)
    return (time.perf_counter() - began) / len(few)
