"""Which modes a run reached, where all are known: of 2-D toy data, stacked digits, a long tail.

The number of a long tail is the share of the rare classes' images that a model samples,

    mean over rare classes k of min(1, p_k / q_k),                                               (1)

with p_k the share of samples that a classifier takes for class k and q_k that of the training
images: 1 if no rare class is rarer in samples than in the data, 0 if none occurs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undrift.claims.datasets import load_classes, rare_classes
from undrift.data.sources.mixtures import MIXTURES
from undrift.metrics.features import DomainClassifier
from undrift.metrics.images import Images
from undrift.metrics.modes import mode_coverage
from undrift.metrics.points import PERFECT, point_coverage
from undrift.metrics.stacked import DigitReader
from undrift.options.train import TrainOptions
from undrift.results.claims import PlaneModes, StackedModes, TailShares, facts_of, interval_of
from undrift.results.comparison import RunResult
from undrift.runs.images import load_images
from undrift.runs.loading import load_pipeline

SHOWN = 600
"""Points of a run that a figure shows."""


def plane(
    run: RunResult, path: Path, name: Literal["ring8", "grid25"], n: int, seed: int
) -> PlaneModes:
    """Modes of ``name``'s mixture that ``n`` points of a run reach."""
    mixture = MIXTURES[name]
    points = mixture.points_of(load_pipeline(path)(n, seed=seed).images)
    found = point_coverage(points, mixture.modes, mixture.std)
    return PlaneModes(
        **facts_of(run),
        kind=name,
        share=found.found / found.modes,
        modes=found.modes,
        found=found.found,
        touched=found.touched,
        high_quality=interval_of(found.high_quality),
        perfect_quality=PERFECT,
        kl=interval_of(found.kl),
        floor_kl=found.floor_kl,
        spread=None if found.spread is None else interval_of(found.spread),
        n=n,
        points=points[:SHOWN].round(3).tolist(),
    )


def stacked(run: RunResult, path: Path, mnist: str, n: int, seed: int) -> StackedModes:
    """Triples of digits that ``n`` samples of a run reach."""
    digits = load_images(mnist, TrainOptions(holdout=0.0))
    train, test = (
        Images(part.images, part.labels) for part in (digits.split("train"), digits.split("test"))
    )
    found = DigitReader.fit(train, test).coverage(load_pipeline(path)(n, seed=seed).images)
    return StackedModes(
        **facts_of(run),
        share=found.found / found.modes,
        modes=found.modes,
        found=found.found,
        kl=interval_of(found.kl),
        floor_kl=found.floor_kl,
        classifier_accuracy=interval_of(found.accuracy),
        n=n,
    )


def tail(run: RunResult, path: Path, source: str, tail_of: Path, n: int, seed: int) -> TailShares:
    """Equation (1) of ``n`` samples, and of the training images as the classifier sees them.

    Args:
        run: trained on the tail.
        path: its folder.
        source: all images, on whose training split the classifier is trained.
        tail_of: the tail's file.
        n: samples.
        seed: of them.
    """
    data = load_classes(source)
    train = data.split("train")
    classifier = DomainClassifier.fit(train.images, np.asarray(train.labels))
    kept = load_images(str(tail_of), TrainOptions(holdout=0.0))
    labels, classes = np.asarray(kept.labels), len(data.class_names)
    wanted = np.bincount(labels, minlength=classes) / len(labels)
    rare = rare_classes(labels, classes)
    predicted = classifier.predict(load_pipeline(path)(n, seed=seed).images)
    made = np.bincount(predicted, minlength=classes) / n
    real = np.bincount(classifier.predict(kept.images), minlength=classes) / len(kept)
    even = mode_coverage(predicted, classes, wanted)
    return TailShares(
        **facts_of(run),
        share=_covered(made, wanted, rare),
        real_share=_covered(real, wanted, rare),
        rare=tuple(data.class_names[k] for k in rare),
        classes=tuple(data.class_names),
        wanted=tuple(wanted.tolist()),
        made=tuple(made.tolist()),
        kl=interval_of(even.kl),
        floor_kl=even.floor_kl,
        n=n,
    )


def _covered(
    made: NDArray[np.floating], wanted: NDArray[np.floating], rare: NDArray[np.int64]
) -> float:
    return float(np.minimum(1.0, made[rare] / wanted[rare]).mean())  # (1)
