"""Which modes a run reached, where all are known: of the plane, of stacked digits, of a tail.

The tail's number is the share of the rare classes' images that a model makes,

    mean over rare classes k of min(1, p_k / q_k),                                               (1)

with p_k the share of samples that a classifier takes for class k and q_k that of the training
images: 1 if no rare class is rarer in samples than in the data, 0 if none occurs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.claims.worlds import load_study, rare_classes
from undrift.data.sources.mixtures import MIXTURES
from undrift.metrics.estimate import Estimate
from undrift.metrics.features import DomainClassifier
from undrift.metrics.images import Images
from undrift.metrics.modes import mode_coverage
from undrift.metrics.points import PERFECT, point_coverage
from undrift.metrics.stacked import DigitReader
from undrift.options.train import TrainOptions
from undrift.runs.images import load_images
from undrift.runs.loading import load_pipeline

Record = dict[str, Any]

SHOWN = 600
"""Points of a run that a figure shows."""


def plane(run: Path, name: str, n: int, seed: int) -> Record:
    """Modes of ``name``'s mixture that ``n`` points of a run reach."""
    mixture = MIXTURES[name]
    points = mixture.points_of(load_pipeline(run)(n, seed=seed).images)
    found = point_coverage(points, mixture.modes, mixture.std)
    return {
        "share": found.found / found.modes,
        "modes": found.modes,
        "found": found.found,
        "touched": found.touched,
        "high_quality": _ends(found.high_quality),
        "perfect_quality": PERFECT,
        "kl": _ends(found.kl),
        "floor_kl": found.floor_kl,
        "spread": None if found.spread is None else _ends(found.spread),
        "n": n,
        "points": points[:SHOWN].round(3).tolist(),
    }


def triples(run: Path, mnist: str, n: int, seed: int) -> Record:
    """Triples of digits that ``n`` samples of a run reach."""
    digits = load_images(mnist, TrainOptions(holdout=0.0))
    train, test = (
        Images(part.images, part.labels) for part in (digits.split("train"), digits.split("test"))
    )
    found = DigitReader.fit(train, test).coverage(load_pipeline(run)(n, seed=seed).images)
    return {
        "share": found.found / found.modes,
        "modes": found.modes,
        "found": found.found,
        "kl": _ends(found.kl),
        "floor_kl": found.floor_kl,
        "classifier_accuracy": _ends(found.accuracy),
        "n": n,
    }


def tail(run: Path, source: str, tail_of: Path, n: int, seed: int) -> Record:
    """Equation (1) of ``n`` samples, beside what the classifier makes of real images like them.

    Args:
        run: trained on the tail.
        source: all images, on whose training split the classifier learns.
        tail_of: the tail's file.
        n: samples.
        seed: of them.
    """
    data = load_study(source)
    train = data.split("train")
    judge = DomainClassifier.fit(train.images, np.asarray(train.labels))
    kept = load_images(str(tail_of), TrainOptions(holdout=0.0))
    labels = np.asarray(kept.labels)
    classes = len(data.class_names)
    wanted = np.bincount(labels, minlength=classes) / len(labels)
    rare = rare_classes(labels, classes)
    predicted = judge.predict(load_pipeline(run)(n, seed=seed).images)
    made = np.bincount(predicted, minlength=classes) / n
    real = np.bincount(judge.predict(kept.images), minlength=classes) / len(kept)
    even = mode_coverage(predicted, classes, wanted)
    return {
        "share": _covered(made, wanted, rare),
        "real_share": _covered(real, wanted, rare),
        "rare": [data.class_names[k] for k in rare],
        "classes": list(data.class_names),
        "wanted": wanted.tolist(),
        "made": made.tolist(),
        "kl": _ends(even.kl),
        "floor_kl": even.floor_kl,
        "n": n,
    }


def _covered(
    made: NDArray[np.floating], wanted: NDArray[np.floating], rare: NDArray[np.int64]
) -> float:
    return float(np.minimum(1.0, made[rare] / wanted[rare]).mean())  # (1)


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
