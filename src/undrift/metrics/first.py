"""The first metrics of a run: how far, how right, how varied, how copied - each with its floor.

A floor is the same measurement with real images in place of the samples: training images against
held-out ones, at the same sizes. A model cannot be expected to do better, and a number without its
floor says little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.classification import label_accuracy
from undrift.metrics.coverage import expected_coverage, neighbourhoods
from undrift.metrics.features import DomainClassifier, FeatureExtractor, RandomFeatures
from undrift.metrics.frechet import Moments, frechet_distance, frechet_estimate
from undrift.metrics.nearest import copies, nearest_training
from undrift.randomness import generator

_NEIGHBOUR = 5
_MOST_HELD_OUT = 10_000
_MOST_LOOKED_UP = 2_000


class LabelledImages(Protocol):
    """One split: what `undrift.data.ImageSet` gives, and all that is needed of it."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, H, W, C) uint8."""
        ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(N,) int64, or None."""
        ...


def first_metrics(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    training: LabelledImages,
    held_out: LabelledImages | None,
    *,
    held_out_name: str = "test",
    seed: int = 0,
    device: torch.device | str = "cpu",
    cache_directory: Path | None = None,
) -> dict[str, Any]:
    """Frechet distance, label accuracy, coverage and copies of generated images.

    Args:
        images: samples (n, H, W, C) uint8.
        labels: (n,) the labels they were asked with, or None.
        training: the training split; its labels make the feature space.
        held_out: the split to compare with; without one the training images take its place, and
            the protocol says so.
        held_out_name: what to call it, "test" or "validation".
        seed: of the feature space and of the subsets.
        device: where the feature network runs.
        cache_directory: where trained feature networks are kept.

    Returns:
        The content of ``evaluation/first.json``: ``metrics`` maps ``fd``, ``label_accuracy``,
        ``coverage`` and ``copies`` to records with ``name``, ``value``, ``interval`` (95 %, or
        null), ``floor``, ``ideal``, ``n``, ``n_reference``, ``better``, ``protocol``; ``features``,
        ``reference`` and ``protocol`` say what all of them share. A metric that cannot be had is
        left out of ``metrics`` and named with the reason in ``missing``.

    Raises:
        UsageError: fewer than two samples or training images, or sizes that differ.
    """
    if len(images) < 2:
        raise UsageError(f"metrics of {len(images)} samples: needs at least 2")
    extractor = _extractor(training, seed, device, cache_directory)
    alone = held_out is None or len(held_out.images) < 2
    reference, reference_labels = _subset(training if alone or held_out is None else held_out, seed)
    name = "training" if alone else held_out_name
    # the floor's images: as many as there are samples, from the training split
    floor_rows = _rows(len(training.images), len(images), seed, "floor")
    reference_features = extractor.features(reference)
    sample_features = extractor.features(images)
    floor_features = extractor.features(training.images[floor_rows])

    metrics: dict[str, Any] = {}
    missing: dict[str, str] = {}
    metrics["fd"] = _distance(extractor, sample_features, reference_features, floor_features, name)
    if isinstance(extractor, DomainClassifier) and labels is not None:
        metrics["label_accuracy"] = _accuracy(
            extractor, images, labels, reference, reference_labels, name
        )
    else:
        missing["label_accuracy"] = "the model takes no labels, or the data has none"
    if min(len(sample_features), len(reference_features), len(floor_features)) > _NEIGHBOUR:
        metrics["coverage"] = _coverage(
            extractor, sample_features, reference_features, floor_features, name, seed
        )
    else:
        missing["coverage"] = f"needs more than {_NEIGHBOUR} samples and {name} images"
    if alone:
        missing["copies"] = "needs held-out images to say how near is too near"
    else:
        metrics["copies"] = _copies(images, training, reference, name, seed)
    caveat = "; no held-out split, so replaying the training set would score best" if alone else ""
    return {
        "metrics": metrics,
        "missing": missing,
        "features": {"name": extractor.name, "description": extractor.description},
        "reference": {"split": name, "count": len(reference)},
        "protocol": (
            f"{len(images)} samples against {len(reference)} {name} images, uint8, "
            f"{extractor.name}: {extractor.description}{caveat}"
        ),
    }


def _extractor(
    training: LabelledImages, seed: int, device: torch.device | str, directory: Path | None
) -> FeatureExtractor:
    labels = training.labels
    if labels is not None and len(np.unique(labels)) > 1:
        return DomainClassifier.fit(
            training.images, labels, seed=seed, device=device, cache_directory=directory
        )
    return RandomFeatures.fit(training.images, seed=seed)


def _distance(
    extractor: FeatureExtractor,
    samples: NDArray[np.float64],
    reference: NDArray[np.float64],
    floor: NDArray[np.float64],
    name: str,
) -> dict[str, Any]:
    moments = Moments.of(reference)
    estimate = frechet_estimate(samples, moments)
    return {
        "name": f"FD[{extractor.name}]",
        "value": estimate.value,
        "interval": list(estimate.interval),
        "floor": frechet_distance(Moments.of(floor), moments),
        "ideal": 0.0,
        "n": len(samples),
        "n_reference": len(reference),
        "n_floor": len(floor),
        "better": "lower",
        "protocol": (
            f"Frechet distance in {extractor.name}, unit: mean feature variance of the training "
            f"images; {len(samples)} samples, {len(reference)} {name} images; covariances "
            f"/ (n - 1), float64; floor: {len(floor)} training images in place of the samples; "
            "interval: influence function over samples, reference fixed, bias not removed"
        ),
    }


def _accuracy(
    classifier: DomainClassifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    reference: NDArray[np.uint8],
    reference_labels: NDArray[np.int64] | None,
    name: str,
) -> dict[str, Any]:
    share = label_accuracy(classifier.predict(images), labels)
    floor = None
    if reference_labels is not None:
        floor = label_accuracy(classifier.predict(reference), reference_labels).value
    return {
        "name": f"label accuracy[{classifier.name}]",
        "value": share.value,
        "interval": list(share.interval),
        "floor": floor,
        "ideal": 1.0,
        "n": share.count,
        "n_reference": len(reference),
        "better": "higher",
        "protocol": (
            f"share of {share.count} samples that {classifier.name} gives the label asked for; "
            f"floor: its accuracy on {len(reference)} {name} images; interval: Wilson 95 %"
        ),
    }


def _coverage(
    extractor: FeatureExtractor,
    samples: NDArray[np.float64],
    reference: NDArray[np.float64],
    floor: NDArray[np.float64],
    name: str,
    seed: int,
) -> dict[str, Any]:
    # equal sizes, because the coverage of a perfect model depends on both
    n = min(len(samples), len(reference), len(floor))
    real = reference[_rows(len(reference), n, seed, "coverage")]
    result = neighbourhoods(real, samples[:n], _NEIGHBOUR)
    return {
        "name": f"coverage[{extractor.name}]",
        "value": result.coverage,
        "interval": None,
        "floor": neighbourhoods(real, floor[:n], _NEIGHBOUR).coverage,
        "ideal": expected_coverage(n, n, _NEIGHBOUR),
        "density": result.density,
        "precision": result.precision,
        "recall": result.recall,
        "n": n,
        "n_reference": n,
        "better": "higher",
        "protocol": (
            f"share of {n} {name} images with one of the first {n} samples strictly inside the "
            f"distance to their neighbour {_NEIGHBOUR}, in {extractor.name}; floor: {n} training "
            "images in place of the samples; ideal: expectation for equal distributions"
        ),
    }


def _copies(
    images: NDArray[np.uint8],
    training: LabelledImages,
    reference: NDArray[np.uint8],
    name: str,
    seed: int,
) -> dict[str, Any]:
    looked_up = images[:_MOST_LOOKED_UP]
    real = reference[_rows(len(reference), _MOST_LOOKED_UP, seed, "copies")]
    found = nearest_training(looked_up, training.images)
    result = copies(found, nearest_training(real, training.images))
    return {
        "name": "copies",
        "value": result.share.value,
        "interval": list(result.share.interval),
        "floor": result.held_out.value,
        "ideal": 0.01,
        "exact": int((found.distances == 0).sum()),
        "threshold": result.threshold,
        "n": result.share.count,
        "n_reference": result.held_out.count,
        "better": "lower",
        "protocol": (
            f"share of {result.share.count} samples strictly nearer to one of "
            f"{len(training.images)} training images than 1 % of {result.held_out.count} {name} "
            f"images are ({result.threshold:.4g} levels, root mean square over values, at most 32 "
            "pixels a side); interval: Wilson 95 %"
        ),
    }


def _subset(split: LabelledImages, seed: int) -> tuple[NDArray[np.uint8], Any]:
    rows = _rows(len(split.images), _MOST_HELD_OUT, seed, "reference")
    labels = None if split.labels is None else split.labels[rows]
    return split.images[rows], labels


def _rows(available: int, wanted: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """``wanted`` rows drawn without replacement, or all of them in order."""
    if wanted >= available:
        return np.arange(available)
    order = torch.randperm(available, generator=generator(seed, purpose))
    return np.sort(order[:wanted].numpy())
