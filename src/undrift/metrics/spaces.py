"""The feature space that distances are measured in, and the classifier that names classes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import torch

from undrift.metrics.features import DomainClassifier, FeatureExtractor, OnFit, open_extractor
from undrift.metrics.images import Images
from undrift.networks import are_points


def quick_space(known: Images) -> str:
    """The space for quick evaluations: without labels, one that is not trained.

    Of points it is their own.
    """
    if are_points((known.images.shape[1], known.images.shape[2])):
        return "pixels"
    labelled = known.labels is not None and len(np.unique(known.labels)) > 1
    return "domain" if labelled else "random"


def fit_seconds(
    known: Images, features: str = "domain", *, device: torch.device | str = "cpu"
) -> float:
    """Seconds that `open_spaces` will train for, from a few steps of it; 0 if that is cached.

    Args:
        known: real images, and their labels if there are any.
        features: the space.
        device: where its network runs.
    """

    class Timed(Exception):
        """Ends the training once its pace is known."""

    expected = 0.0

    def stop(seen: int, total: int, left: float) -> None:
        nonlocal expected
        expected = left
        raise Timed

    with contextlib.suppress(Timed):
        open_spaces(known, features, device=device, on_fit=stop)
    return expected


def open_spaces(
    known: Images,
    features: str = "domain",
    *,
    classify: bool = True,
    device: torch.device | str = "cpu",
    weights: str | None = None,
    download: bool = False,
    cache_directory: Path | None = None,
    on_fit: OnFit | None = None,
) -> tuple[FeatureExtractor, DomainClassifier | None]:
    """Fit both on real images that samples are not compared with, where there are such.

    Both are drawn with seed 0, whatever the seed of the evaluation: results stay comparable.

    Args:
        known: real images, and their labels if there are any.
        features: the space, see `undrift.metrics.features.open_extractor`.
        classify: whether a classifier is needed where the space itself is none.
        device: where its network runs.
        weights: file with its weights, where it needs one.
        download: fetch such a file.
        cache_directory: where trained feature networks are cached.
        on_fit: called while a network is trained, if one is.

    Returns:
        The extractor, and a classifier if one is needed and ``known`` has two classes or more.
        In the ``domain`` space of labelled images they are the same.

    Raises:
        UsageError: an unknown space, or weights that are missing.
        ModelFileError: weights that are damaged.
    """
    extractor = open_extractor(
        features,
        known.images,
        known.labels,
        seed=0,
        device=device,
        cache_directory=cache_directory,
        weights=weights,
        download=download,
        on_fit=on_fit,
    )
    if isinstance(extractor, DomainClassifier):
        return extractor, extractor
    if not classify or known.labels is None or len(np.unique(known.labels)) < 2:
        return extractor, None
    classifier = DomainClassifier.fit(
        known.images,
        known.labels,
        seed=0,
        device=device,
        cache_directory=cache_directory,
        on_fit=on_fit,
    )
    return extractor, classifier
