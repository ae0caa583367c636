"""What the report shows beside the files of the run: arrays, so that it needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.data.scatter import on_plane
from undrift.metrics import Images as LabelledImages
from undrift.metrics.nearest import nearest_training
from undrift.randomness import generator

Images = NDArray[np.uint8]

_CONTACT, _CONTACT_POINTS = 60, 2500
_PAIRS = 24
_SEARCHED = 512


@dataclass(frozen=True)
class ReportMaterial:
    """Arrays and facts that only the process that trained has at hand.

    Attributes:
        samples: (n, H, W, C) uint8, any order.
        labels: (n,) int64 class of each sample, or None.
        class_names: names of the classes, in the order of their indices.
        examples: (m, H, W, C) uint8 training images for the contact sheet.
        example_labels: (m,) int64, or None.
        queries: (k, H, W, C) uint8 samples whose nearest training images were looked up.
        neighbours: (k, H, W, C) uint8 nearest training image of each of ``queries``.
        distances: (k,) root mean square difference of each pair, in levels of 0-255.
        searched: how many samples ``queries`` were chosen from.
        strip: (f, H, W, C) uint8 views of one sample's trajectory from noise to image; of toy 2-D
            points (f, n, H, W, C), many at once.
        strip_levels: (f,) noise over signal, sigma / alpha, at each of ``strip``; may be infinite.
        parameters: trainable parameters of the network.
        nfe: network forwards per image.
        sampling_seconds: time that the samples took.
        sampler: sampler, steps and guidance in words.
        seconds: wall-clock time by part: "probe", "training", "validation", "grids", "checkpoints",
            "sampling", "metrics"; parts left out are read from the events where they can be.
    """

    samples: Images | None = None
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    examples: Images | None = None
    example_labels: NDArray[np.int64] | None = None
    queries: Images | None = None
    neighbours: Images | None = None
    distances: NDArray[np.float64] | None = None
    searched: int = 0
    strip: Images | None = None
    strip_levels: Sequence[float] = ()
    parameters: int | None = None
    nfe: float | None = None
    sampling_seconds: float | None = None
    sampler: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def gather_material(
    samples: Images,
    labels: NDArray[np.int64] | None,
    training: LabelledImages,
    class_names: Sequence[str] = (),
    *,
    strip: Images | None = None,
    strip_levels: Sequence[float] = (),
    parameters: int | None = None,
    nfe: float | None = None,
    sampling_seconds: float | None = None,
    sampler: str | None = None,
    seconds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> ReportMaterial:
    """Choose examples and look up nearest training images; the rest is passed on.

    Half of the pairs are the samples nearest to a training image, the suspicious ones, by the
    relative distance that memorization is measured by; half are drawn at random from the first 512.
    Toy 2-D points coincide by chance, so there are no pairs of them, and more examples.

    Args:
        samples: (n, H, W, C) uint8.
        labels: (n,) int64, or None.
        training: the training split.
        class_names: names of the classes, in the order of their indices.
        strip: see `ReportMaterial`.
        strip_levels: see `ReportMaterial`.
        parameters: see `ReportMaterial`.
        nfe: see `ReportMaterial`.
        sampling_seconds: see `ReportMaterial`.
        sampler: see `ReportMaterial`.
        seconds: see `ReportMaterial`.
        seed: of the random choices.
    """
    points = on_plane(samples.shape[1:])
    wanted = _CONTACT_POINTS if points else _CONTACT
    rows = _spread(training.labels, len(training.images), wanted, seed)
    material = ReportMaterial(
        samples=samples,
        labels=labels,
        class_names=tuple(class_names),
        examples=np.array(training.images[rows]),
        example_labels=None if training.labels is None else np.array(training.labels[rows]),
        strip=strip,
        strip_levels=tuple(strip_levels),
        parameters=parameters,
        nfe=nfe,
        sampling_seconds=sampling_seconds,
        sampler=sampler,
        seconds=dict(seconds or {}),
    )
    return material if points else _with_pairs(material, samples, training, seed)


def _with_pairs(
    material: ReportMaterial, samples: Images, training: LabelledImages, seed: int
) -> ReportMaterial:
    """``material`` with samples beside their nearest training images."""
    searched = samples[:_SEARCHED]
    found = nearest_training(searched, training.images)
    near = found.distances if found.spacing is None else found.relative
    order = np.lexsort((found.distances, near))
    closest = order[: _PAIRS // 2]
    rest = np.sort(order[_PAIRS // 2 :])
    drawn = rest[_shuffled(len(rest), seed, "report pairs")[: _PAIRS // 2]]
    chosen = np.concatenate([closest, drawn])
    return replace(
        material,
        queries=samples[chosen],
        neighbours=np.array(training.images[found.indices[chosen]]),
        distances=found.distances[chosen],
        searched=len(searched),
    )


def _spread(
    labels: NDArray[np.int64] | None, count: int, wanted: int, seed: int
) -> NDArray[np.int64]:
    """Rows drawn at random, equally often from each class as far as it reaches."""
    order = _shuffled(count, seed, "report examples")
    if labels is None:
        return order[:wanted]
    # place of each row within its class, in the drawn order: taking low places first balances
    seen: dict[int, int] = {}
    places = np.empty(count, dtype=np.int64)
    for place, row in enumerate(order):
        label = int(labels[row])
        places[place] = seen[label] = seen.get(label, -1) + 1
    balanced = order[np.argsort(places, kind="stable")][:wanted]
    return balanced[np.argsort(labels[balanced], kind="stable")]


def _shuffled(count: int, seed: int, purpose: str) -> NDArray[np.int64]:
    return torch.randperm(count, generator=generator(seed, purpose)).numpy()
