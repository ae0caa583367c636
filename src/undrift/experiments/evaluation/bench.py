"""What samples are held against: real images, a feature space and a classifier, opened once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.experiments.evaluation.reference import Reference
from undrift.experiments.evaluation.subject import Subject
from undrift.metrics import Comparison, Images, open_spaces
from undrift.metrics.features import Classifier, FeatureExtractor
from undrift.metrics.features.stored import cached_features


@dataclass(frozen=True, eq=False)
class Bench:
    """Any number of sets of samples are measured on it, all against the same.

    Attributes:
        reference: where the real images come from.
        held_out: those that samples are compared with.
        extractor: the feature space.
        classifier: names what an image shows; None without labels.
        features: (m, D) of ``held_out``.
        seed: of every random choice.
    """

    reference: Reference
    held_out: Images
    extractor: FeatureExtractor
    classifier: Classifier | None
    features: NDArray[np.floating]
    seed: int

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
    ) -> Bench:
        """Draw at most ``n`` real images and open the spaces.

        Raises:
            UsageError: an unknown space, or weights that are missing.
            ModelFileError: weights that are damaged.
        """
        held_out = reference.images.draw(n, seed, "reference")
        extractor, classifier = open_spaces(
            reference.known, features, device=device, weights=weights, download=download
        )
        known = cached_features(
            extractor,
            held_out.images,
            key=f"{reference.fingerprint}-{reference.split}-{n}-{seed}",
        )
        return cls(reference, held_out, extractor, classifier, known, seed)

    def comparison(self, samples: Images, subject: Subject) -> Comparison:
        """The samples of ``subject`` beside the real images.

        Raises:
            UsageError: a class that the reference lacks.
        """
        return Comparison(
            self.renamed(samples, subject),
            self.held_out,
            self.reference.training,
            self.extractor,
            self.classifier,
            self.reference.classes,
            self.seed,
            self.reference.split,
            self.features,
            self.reference.content is None,
        )

    def renamed(self, samples: Images, subject: Subject) -> Images:
        """Samples with their labels as the reference numbers its classes.

        They are matched by name; where no name is known there and all are numbers, by number.

        Raises:
            UsageError: a class that the reference lacks.
        """
        if samples.labels is None or self.reference.images.labels is None:
            return Images(samples.images)
        there, names = self.reference.classes, subject.classes
        if not set(names) & set(there) and all(name.isdecimal() for name in names):
            numbers = {name: int(name) for name in names if int(name) < len(there)}
        else:
            numbers = {name: there.index(name) for name in names if name in there}
        used = [names[label] for label in np.unique(samples.labels)]
        strangers = [name for name in used if name not in numbers]
        if strangers:
            raise UsageError(
                f"{subject.name}: its class {strangers[0]!r} is not in {self.reference.source}, "
                f"which has {', '.join(there[:12])}; compare data of the same classes"
            )
        table = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
        return Images(samples.images, table[samples.labels])
