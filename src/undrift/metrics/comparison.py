"""One set of samples beside real images: what every metric is computed from, computed once.

Features, neighbours and predictions are made when a metric first needs them and cached, so that
the order and number of metrics cost nothing. The same object with real images in place of the
samples (`Comparison.floor`) gives each metric's floor, at the same sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.features import Classifier, FeatureExtractor, TextureFeatures
from undrift.metrics.features.spread import constant
from undrift.metrics.images import Images, rows_of
from undrift.metrics.memorization import assign_cells
from undrift.metrics.moments import Moments
from undrift.metrics.nearest import Neighbours, nearest_training
from undrift.metrics.neighbourhoods import (
    Neighbourhoods,
    kept_values,
    neighbourhood_values,
    neighbourhoods,
)
from undrift.metrics.number_reader import NumberReader, fit_reader
from undrift.metrics.retrieval import ImageTextModel, fit_image_text
from undrift.metrics.segmentation import Segmenter, fit_segmenter
from undrift.wording import plural

OFFERED = 100
"""Captions among which an image's own is searched."""

SEGMENTER_STEPS = (100, 600)
"""The fewest and most updates of a segmenter; in between two for each pair."""

IMAGE_TEXT_STEPS = (100, 1500)
"""The fewest and most updates of an image-text model; in between one for each pair."""

MOST_LOOKED_UP = 10_000
"""Samples, and held-out images, whose nearest training image is searched."""

NEIGHBOUR = 5
"""The neighbour that sets the radius of a ball; Naeem et al. (2020)."""

Network = TypeVar("Network")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples, the real images that they are held against, and the space of the distances.

    Attributes:
        samples: what is measured.
        reference: real images that the model has not seen, where there are such.
        training: real images that it has seen, or may have; None where there are none beside the
            reference.
        extractor: the feature space.
        classifier: names what an image shows; None without labels.
        classes: names of the labels.
        seed: of every random choice.
        split: what the reference is called: "test", "validation", "train" or "all".
        known_features: (m, D) of the reference, where somebody has them already.
        pixels: whether the reference images are there, and not their features alone.
        own_rows: (m,) the row of ``training`` that each of ``reference`` is, where nothing was held
            out; None where the two are apart.
        known_floor: (k, D) features of other real images for the floor, where these are not here.
        floor_labels: (k,) what they show.
        number_names: names of the columns of the images' numbers.
        swapped: samples 0 to m - 1 drawn once more, from captions with a word in another's place;
            None where none were.
        networks: trained on `seen` by name, shared by all that `replace` makes of this comparison.
    """

    samples: Images
    reference: Images
    training: Images | None
    extractor: FeatureExtractor
    classifier: Classifier | None
    classes: tuple[str, ...]
    seed: int
    split: str
    known_features: NDArray[np.floating] | None = None
    pixels: bool = True
    own_rows: NDArray[np.int64] | None = None
    known_floor: NDArray[np.floating] | None = None
    floor_labels: NDArray[np.int64] | None = None
    number_names: tuple[str, ...] = ()
    swapped: Images | None = None
    networks: dict[str, Any] = field(default_factory=dict, repr=False)

    def _once(self, name: str, train: Callable[[], Network]) -> Network:
        if name not in self.networks:
            self.networks[name] = train()
        return self.networks[name]

    @property
    def image_text(self) -> ImageTextModel:
        """An image-text model of the training images and their captions.

        Raises:
            UsageError: fewer than two of them have one.
        """

        def train() -> ImageTextModel:
            captions = self.seen.captions or ()
            rows = np.array([i for i, caption in enumerate(captions) if caption], dtype=np.int64)
            pairs = self.seen.take(rows)
            steps = max(IMAGE_TEXT_STEPS[0], min(IMAGE_TEXT_STEPS[1], len(rows)))
            return fit_image_text(pairs.images, pairs.captions or (), steps=steps, seed=self.seed)

        return self._once("image-text", train)

    @cached_property
    def offered(self) -> tuple[str, ...]:
        """Captions that are looked up: different ones of the samples, then of training images."""
        found: list[str] = []
        for images, purpose in ((self.samples, "offered"), (self.seen, "offered beside")):
            known = sorted({caption for caption in images.captions or () if caption} - {*found})
            rows = rows_of(len(known), OFFERED - len(found), self.seed, purpose)
            found += [known[i] for i in rows]
        return tuple(found)

    @property
    def number_reader(self) -> NumberReader:
        """A network that reads the numbers of training images.

        Raises:
            UsageError: there are none, or too few.
        """
        images, numbers = self.seen.images, self.seen.numbers
        if numbers is None:
            raise UsageError("the training images have no numbers")
        return self._once("numbers", lambda: fit_reader(images, numbers, seed=self.seed))

    def segmenter(self, name: str) -> Segmenter:
        """A network that reads the masks ``name`` of training images.

        Raises:
            UsageError: there are no pairs.
        """
        mask, images = self.seen.masks[name], self.seen.images
        steps = max(SEGMENTER_STEPS[0], min(SEGMENTER_STEPS[1], 2 * len(images)))
        classes = len(mask.spec.values)
        return self._once(
            f"masks {name}",
            lambda: fit_segmenter(
                images, mask.classes, classes=classes, steps=steps, seed=self.seed
            ),
        )

    @property
    def of_reference(self) -> Comparison:
        """The same with the reference images in place of the samples, for what reads images.

        Raises:
            UsageError: the training images are the reference, so that it was trained on these.
        """
        if not self.held_out:
            raise UsageError("what reads images was trained on the reference; hold images out")
        made = self.beside(self.reference)
        if self.samples.captions is not None:
            made.__dict__["offered"] = self.offered
        return made

    @cached_property
    def _reference_features(self) -> NDArray[np.floating]:
        if self.known_features is not None:
            return self.known_features
        return self.extractor.features(self.reference.images)

    @cached_property
    def reference_features(self) -> NDArray[np.floating]:
        """(m, D).

        Raises:
            UsageError: they are all the same.
        """
        found = self._reference_features
        if constant(found):
            raise UsageError(
                f"the {self.extractor.name} features of {plural(len(found), 'reference image')} "
                "are all the same, so distances to them mean nothing; give a reference whose "
                "images differ, or other features"
            )
        return found

    @cached_property
    def sample_features(self) -> NDArray[np.floating]:
        """(n, D)."""
        if isinstance(self.extractor, Classifier):
            return self._read[0]
        return self.extractor.features(self.samples.images)

    @cached_property
    def reference_moments(self) -> Moments:
        """Mean and covariance of the reference."""
        return Moments.of(self.reference_features)

    @cached_property
    def in_texture(self) -> Comparison:
        """The same comparison in the space of local statistics, fitted on the training images."""
        space = TextureFeatures.fit(self.seen.images)
        return replace(
            self, extractor=space, known_features=None, known_floor=None, floor_labels=None
        )

    @cached_property
    def balls(self) -> Neighbourhoods:
        """Precision, recall, density and coverage, at equal sizes of both sets."""
        real, made = self._equal_sizes
        return neighbourhoods(real, made, NEIGHBOUR, seed=self.seed)

    @cached_property
    def ball_values(self) -> dict[str, float]:
        """The same by name and without intervals, for floors and jackknives."""
        return neighbourhood_values(*self._equal_sizes, NEIGHBOUR)

    def ball_values_without(self, groups: Sequence[NDArray[np.int64]]) -> list[dict[str, float]]:
        """The same with each of ``groups`` of samples left out, in turn."""
        every = np.arange(len(self.samples))
        kept = [self._equal_rows(np.setdiff1d(every, group)) for group in groups]
        return kept_values(self.reference_features, self.sample_features, kept, NEIGHBOUR)

    @property
    def ball_size(self) -> int:
        """Samples, and reference images, that `balls` are measured of."""
        return min(len(self.samples), len(self.reference))

    @property
    def _equal_sizes(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Features of as many of the reference as of the samples."""
        real, made = self._equal_rows(np.arange(len(self.samples)))
        return self.reference_features[real], self.sample_features[made]

    def _equal_rows(
        self, samples: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the reference, and as many of ``samples``.

        The coverage of a perfect model depends on both sizes, so they are made equal.
        """
        n = min(len(samples), self.ball_size)
        real = rows_of(len(self.reference), n, self.seed, "balls of the reference")
        return real, samples[rows_of(len(samples), n, self.seed, "balls of the samples")]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) the label that the classifier sees in each sample."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(n, K) of the classifier."""
        if self.classifier is self.extractor:
            return self._read[1]
        return self._required_classifier().probabilities(self.samples.images)

    @property
    def entropy_classifier(self) -> Classifier | None:
        """The classifier of the inception score: the extractor if it has classes, else our own."""
        return self.extractor if isinstance(self.extractor, Classifier) else self.classifier

    @cached_property
    def entropy_probabilities(self) -> NDArray[np.float64]:
        """(n, K) probabilities for the inception score."""
        own = self.entropy_classifier is self.extractor
        return self._read[1] if own else self.probabilities

    @cached_property
    def _read(self) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
        """Features and probabilities, where one network gives both."""
        if not isinstance(self.extractor, Classifier):
            raise UsageError(f"{self.extractor.name} knows no classes")
        if (features := self.__dict__.get("sample_features")) is not None:
            return features, self.extractor.probabilities_of(features)
        return self.extractor.read(self.samples.images)

    @cached_property
    def looked_up(self) -> NDArray[np.int64]:
        """Rows of the samples whose nearest training image is searched: 10,000 at the most."""
        return rows_of(len(self.samples), MOST_LOOKED_UP, self.seed, "neighbours of the samples")

    @cached_property
    def sample_neighbours(self) -> Neighbours:
        """The nearest training image of each sample of `looked_up`."""
        return nearest_training(self.samples.images[self.looked_up], self.seen.images)

    @cached_property
    def reference_neighbours(self) -> Neighbours:
        """The nearest training image of each held-out image; of 10,000 of them.

        Where no images are held out, the nearest other one.
        """
        rows = rows_of(
            len(self.reference), MOST_LOOKED_UP, self.seed, "neighbours of the reference"
        )
        among = np.arange(len(self.reference)) if self.training is None else self.own_rows
        own = None if among is None else among[rows]
        return nearest_training(self.reference.images[rows], self.seen.images, own_rows=own)

    @cached_property
    def seen(self) -> Images:
        """What samples may be copies of: the training images, or all of the reference."""
        return self.reference if self.training is None else self.training

    def own_distances(self, neighbours: Neighbours) -> NDArray[np.float64]:
        """(n,) how far the nearest training image of each is from its own nearest other."""
        rows, where = np.unique(neighbours.indices, return_inverse=True)
        return nearest_training(self.seen.images[rows], self.seen.images, own_rows=rows).distances[
            where
        ]

    @cached_property
    def sample_cells(self) -> NDArray[np.int64]:
        """The cell of each sample that was looked up."""
        return self._cells[0]

    @cached_property
    def reference_cells(self) -> NDArray[np.int64]:
        """The cell of each reference image that was looked up."""
        return self._cells[1]

    @cached_property
    def _cells(self) -> list[NDArray[np.int64]]:
        """K-means cells of the nearest training images, which stand for those they are near to."""
        found = (self.sample_neighbours.indices, self.reference_neighbours.indices)
        rows = np.unique(np.concatenate(found))
        flat = self.seen.images[rows].reshape(len(rows), -1)
        kept = np.linspace(0, len(rows) - 1, min(len(rows), MOST_LOOKED_UP)).astype(np.int64)
        _, cells = assign_cells(flat[kept], flat, seed=self.seed)
        return [cells[np.searchsorted(rows, part)] for part in found]

    @property
    def required_labels(self) -> NDArray[np.int64]:
        """(n,) the requested labels of the samples."""
        if self.samples.labels is None:
            raise UsageError("the samples have no labels")
        return self.samples.labels

    @cached_property
    def class_frequencies(self) -> NDArray[np.float64]:
        """(K,) share of each class among the reference; even without labels."""
        if self.reference.labels is None:
            return np.full(len(self.classes), 1.0 / len(self.classes))
        counts = np.bincount(self.reference.labels, minlength=len(self.classes))
        return counts / counts.sum()

    @cached_property
    def classifier_accuracy(self) -> float | None:
        """Share of reference images of which the classifier knows the label.

        None without labels, and where the classifier was trained on these images.
        """
        if self.reference.labels is None or self.classifier is None or not self.held_out:
            return None
        if self.classifier is self.extractor:
            features = self._reference_features
            predicted = self.classifier.probabilities_of(features).argmax(axis=1)
        else:
            predicted = self.classifier.predict(self.reference.images)
        return float((predicted == self.reference.labels).mean())

    @property
    def held_out(self) -> bool:
        """Whether neither the feature space nor the classifier was fitted on the reference."""
        return self.own_rows is None and self.split in ("test", "validation")

    @property
    def others(self) -> int:
        """Real images beside the reference, which may take the place of the samples."""
        return len(self._apart if self.known_floor is None else self.known_floor)

    @cached_property
    def _apart(self) -> NDArray[np.int64]:
        """Rows of the training images that are not in the reference."""
        every = np.arange(0 if self.training is None else len(self.training))
        return every if self.own_rows is None else np.setdiff1d(every, self.own_rows)

    @property
    def floor(self) -> Comparison:
        """The same with as many other real images in place of the samples.

        Raises:
            UsageError: there are not so many; at another size it would be another number.
        """
        return self.real_in_place(len(self.samples))

    @property
    def ball_floor(self) -> Comparison:
        """A floor for `ball_values`, which take no more samples than reference images."""
        count = len(self.samples)
        return self.real_in_place(count if self.others >= count else self.ball_size)

    @property
    def floor_by_class(self) -> Comparison:
        """A floor whose classes have as many images as those of the samples.

        Raises:
            UsageError: there are not so many images of a class, or no labels.
        """
        wanted = np.bincount(self.required_labels, minlength=len(self.classes))
        labels = self.floor_labels
        if self.known_floor is None:
            labels = None if self.training is None else self.training.labels
            labels = None if labels is None else labels[self._apart]
        if labels is None:
            return self.floor  # which says what is missing, or measures and says it then
        rows = []
        for label, count in enumerate(wanted.tolist()):
            there = np.flatnonzero(labels == label)
            if len(there) < count:
                raise UsageError(
                    f"{plural(len(there), 'real image')} of {self.classes[label]} beside the "
                    f"reference, {plural(count, 'sample')}"
                )
            rows.append(there[rows_of(len(there), count, self.seed, "floor by class")])
        return self._with_others(np.sort(np.concatenate(rows)))

    def real_in_place(self, count: int) -> Comparison:
        """The same with ``count`` other real images in place of the samples.

        Raises:
            UsageError: there are not so many.
        """
        if count not in self._in_place:
            if self.others < count:
                raise UsageError(self._too_few(count))
            rows = rows_of(self.others, count, self.seed, "floor")
            self._in_place[count] = self._with_others(rows)
        return self._in_place[count]

    @cached_property
    def _in_place(self) -> dict[int, Comparison]:
        """What `real_in_place` has made, by number."""
        return {}

    def _too_few(self, count: int) -> str:
        others = plural(self.others, "real image")
        beside = f"{others} beside the reference, {plural(count, 'sample')}"
        whole = len(self.reference) if self.training is None else len(self.training)
        if self.held_out or not self.pixels or whole < 2 * count:
            return beside
        return f"{beside}; a reference of at most {whole - count:,} of them leaves enough"

    def _with_others(self, rows: NDArray[np.int64]) -> Comparison:
        """The same with the real images ``rows`` of `others` in place of the samples."""
        if self.known_floor is not None:
            labels = None if self.floor_labels is None else self.floor_labels[rows]
            samples = Images.unseen(len(rows), self.reference.images.shape[1:], labels)
        else:
            samples = self.seen.take(self._apart[rows])
        made = replace(self, samples=samples, known_features=self.reference_features)
        made.__dict__["reference_moments"] = self.reference_moments
        if self.known_floor is not None:
            made.__dict__["sample_features"] = self.known_floor[rows]
        return made

    @property
    def floor_words(self) -> str:
        """What the floor's samples are, for the protocol."""
        apart = self.own_rows is None and self.known_floor is None
        return f"as many {'training' if apart else 'other real'} images in place of the samples"

    def beside(self, samples: Images) -> Comparison:
        """Other samples against the same images; what does not depend on them is shared."""
        made = replace(self, samples=samples, known_features=self.reference_features)
        made.__dict__["reference_moments"] = self.reference_moments
        made.__dict__["classifier_accuracy"] = self.classifier_accuracy
        made.__dict__["_in_place"] = self._in_place
        return made

    def without(self, rows: NDArray[np.int64]) -> Comparison:
        """The same comparison with the samples ``rows`` left out, as a jackknife needs it."""
        keep = np.setdiff1d(np.arange(len(self.samples)), rows)
        samples = self.samples.take(keep)
        made = replace(self, samples=samples, known_features=self.reference_features)
        made.__dict__["reference_moments"] = self.reference_moments
        for name in ("sample_features", "predicted", "probabilities", "entropy_probabilities"):
            if name in self.__dict__:
                made.__dict__[name] = self.__dict__[name][keep]
        return made

    def _required_classifier(self) -> Classifier:
        if self.classifier is None:
            raise UsageError("no classifier: the reference has no labels to train one on")
        return self.classifier
