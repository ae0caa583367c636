"""One function per metric: from a comparison to what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.class_frechet import class_frechet
from undrift.metrics.classification import label_accuracy, per_class_accuracy
from undrift.metrics.comparison import Comparison
from undrift.metrics.estimate import Estimate
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.frechet_infinity import extrapolated_distance, frechet_infinity
from undrift.metrics.images import Images
from undrift.metrics.kernel import gaussian_distance, kernel_distance, subset_kernel_distance
from undrift.metrics.map_consistency import map_consistency
from undrift.metrics.memorization import (
    authenticity,
    c_t,
    closest_pairs,
    held_out_share,
    memorized_share,
)
from undrift.metrics.modes import inception_score, mode_coverage
from undrift.metrics.retrieval import retrieval
from undrift.metrics.segmentation import Overlap, overlap
from undrift.metrics.sliced import sliced_distance
from undrift.metrics.swap import changed_share, prefers, swapped_captions
from undrift.metrics.usefulness import train_on_generated
from undrift.metrics.vendi import vendi, vendi_score
from undrift.metrics.wilson import difference_of_shares
from undrift.randomness import derangement
from undrift.wording import plural

FEWEST_SWAPS = 10
"""Samples with a word swapped below which nothing is said."""

SUBSET = 1000
"""Images of each subset that published KIDs are means over."""


@dataclass(frozen=True)
class Measured:
    """What measuring one metric gave.

    Attributes:
        estimate: value and interval.
        n: samples that went in.
        n_reference: reference images that went in.
        extras: further fields of the metric's result, see `undrift.metrics.results.RESULTS`.
    """

    estimate: Estimate
    n: int
    n_reference: int
    extras: Mapping[str, Any] = field(default_factory=dict)


def _whole(estimate: Estimate, c: Comparison, **extras: object) -> Measured:
    return Measured(estimate, len(c.samples), len(c.reference), extras)


def frechet(c: Comparison) -> Measured:
    """Frechet distance."""
    return _whole(frechet_estimate(c.sample_features, c.reference_moments), c)


def frechet_floor(c: Comparison) -> float:
    """The same of real images."""
    return frechet_distance(c.floor.sample_features, c.floor.reference_moments)


def texture_frechet(c: Comparison) -> Measured:
    """Frechet distance of local statistics, whatever the feature space of the other metrics."""
    return frechet(c.in_texture)


def texture_floor(c: Comparison) -> float:
    """The same of real images."""
    return frechet_floor(c.in_texture)


def extrapolated(c: Comparison) -> Measured:
    """The same, extrapolated to endless samples."""
    return _whole(frechet_infinity(c.sample_features, c.reference_features, seed=c.seed), c)


def extrapolated_floor(c: Comparison) -> float:
    """The same of real images."""
    floor = c.floor
    return extrapolated_distance(floor.sample_features, floor.reference_features, seed=c.seed)


def kernel(c: Comparison) -> Measured:
    """KID, and in the space of published numbers also the way that these are made."""
    estimate = kernel_distance(c.sample_features, c.reference_features)
    if not c.extractor.standard_fid or min(len(c.samples), len(c.reference)) < SUBSET:
        return _whole(estimate, c)
    published = subset_kernel_distance(c.sample_features, c.reference_features, SUBSET, seed=c.seed)
    return _whole(estimate, c, as_published=published)


def sliced(c: Comparison) -> Measured:
    """MIND."""
    return _whole(sliced_distance(c.sample_features, c.reference_features, seed=c.seed), c)


def gaussian(c: Comparison) -> Measured:
    """CMMD."""
    return _whole(gaussian_distance(c.sample_features, c.reference_features), c)


def ball(name: str, c: Comparison) -> Measured:
    """One of precision, recall, density and coverage."""
    return Measured(getattr(c.balls, name), c.balls.generated, c.balls.real)


def ball_floor(name: str, c: Comparison) -> float:
    """The same of real images."""
    return c.ball_floor.ball_values[name]


def variety(c: Comparison) -> Measured:
    """Vendi score."""
    return _whole(vendi(c.sample_features), c)


def variety_floor(c: Comparison) -> float:
    """The same of real images."""
    return vendi_score(c.floor.sample_features)


def entropy(c: Comparison) -> Measured:
    """Inception score, by the features' own classes or by our classifier."""
    return _whole(inception_score(c.entropy_probabilities, seed=c.seed), c)


def modes(c: Comparison) -> Measured:
    """Divergence of class shares."""
    found = mode_coverage(c.predicted, len(c.classes), c.class_frequencies)
    return _whole(found.kl, c, modes=found.count, classes=len(c.classes), floor_kl=found.floor_kl)


def accuracy(c: Comparison) -> Measured:
    """Label accuracy."""
    requested = c.required_labels
    by_class = per_class_accuracy(c.predicted, requested, len(c.classes))
    named = {c.classes[k]: estimate.value for k, estimate in by_class.items()}
    return _whole(label_accuracy(c.predicted, requested), c, classes=named)


def accuracy_of_reference(c: Comparison) -> float:
    """The classifier on the reference.

    Raises:
        UsageError: it was trained on these images, or they have no labels.
    """
    if c.classifier_accuracy is None:
        raise UsageError(
            "the classifier was trained on the reference; hold images out of the training"
            if not c.held_out
            else "the reference has no labels"
        )
    return c.classifier_accuracy


def prompts(k: int, c: Comparison) -> Measured:
    """Share of samples whose caption is among the ``k`` nearest."""
    captions: tuple[str, ...] = c.samples.captions or ()
    offered = c.offered
    if len(offered) <= k:
        raise UsageError(f"{plural(len(offered), 'different caption')}: top-{k} is meaningless")
    known = {*offered}
    rows = np.array([i for i, caption in enumerate(captions) if caption in known], np.int64)
    images, own = c.samples.images[rows], [str(captions[i]) for i in rows]
    found = retrieval(c.image_text, images, own, offered, k)
    estimate = Estimate(
        found.value,
        found.low,
        found.high,
        "Wilson's, samples of one prompt grouped; image-text model fixed",
    )
    extras = {"chance": found.chance, "offered": found.offered}
    return Measured(estimate, len(rows), len(c.reference), extras)


def prompts_floor(k: int, c: Comparison) -> float:
    """The same of held-out images and their own captions."""
    return prompts(k, c.of_reference).estimate.value


def prompt_swap(c: Comparison) -> Measured:
    """Equation (2) of `undrift.metrics.swap`."""
    swapped, old = c.swapped, c.samples.captions
    if swapped is None or swapped.captions is None or old is None:
        raise UsageError("no sample was drawn with a word swapped")
    new = swapped.captions
    rows = np.array([i for i, caption in enumerate(new) if caption != old[i]], np.int64)
    if len(rows) < FEWEST_SWAPS:
        raise UsageError(
            f"{plural(len(rows), 'caption')} in which another word can take a word's place; "
            f"wanted {FEWEST_SWAPS}"
        )
    images, before = swapped.images[rows], c.samples.images[rows]
    pair = [new[i] for i in rows], [old[i] for i in rows]
    nearer = [prefers(c.image_text, one, *pair) for one in (images, before)]
    others = before[derangement(len(rows), 0, "unrelated samples").numpy()]
    extras = {
        "chance": 0.5,
        "before": float(nearer[1].mean()),
        "changed": changed_share(before, images),
        "unrelated": changed_share(before, others),
    }
    value, low, high = (0.5 + change / 2 for change in difference_of_shares(*nearer))
    estimate = Estimate(value, low, high, "Newcombe's, of pairs; image-text model fixed")
    return Measured(estimate, len(rows), len(c.reference), extras)


def prompt_swap_floor(c: Comparison) -> float:
    """Share of held-out images that are nearer to their own caption than to one with a swap.

    Of real images only one of the two directions can be measured.
    """
    if not c.held_out:
        raise UsageError("the image-text model was trained on the reference; hold images out")
    own: list[str] = list(c.reference.captions or ())
    other = swapped_captions(own, c.seen.captions or (), c.seed)
    rows = np.array([i for i, caption in enumerate(other) if caption != own[i]], np.int64)
    if not len(rows):
        raise UsageError("no caption of a held-out image has a word that can be swapped")
    pair = [str(own[i]) for i in rows], [other[i] for i in rows]
    return float(prefers(c.image_text, c.reference.images[rows], *pair).mean())


def number_error(c: Comparison) -> Measured:
    """Error of the numbers that samples were drawn with."""
    errors = _number_errors(c)
    units = c.number_reader.std.numpy()
    real = None
    if c.held_out:
        found = _number_errors(c.of_reference).mean(0) * units
        real = dict(zip(c.number_names, found.tolist(), strict=True))
    each = errors.mean(1)
    half = float(each.std(ddof=1)) / len(each) ** 0.5
    estimate = Estimate.normal(
        float(each.mean()), half, "normal, over samples; reader fixed", lowest=0.0
    )
    by_name = dict(zip(c.number_names, (errors.mean(0) * units).tolist(), strict=True))
    return _whole(estimate, c, numbers=by_name, real=real)


def number_error_floor(c: Comparison) -> float:
    """The same of held-out images and their own numbers."""
    return float(_number_errors(c.of_reference).mean())


def _number_errors(c: Comparison) -> NDArray[np.float64]:
    """Equation (1) of `undrift.metrics.number_reader` for each number, (n, K)."""
    reader = c.number_reader
    if c.samples.numbers is None:
        raise UsageError("the samples have no numbers")
    return np.abs(reader.read(c.samples.images) - c.samples.numbers) / reader.std.numpy()


def mask_overlap(c: Comparison) -> Measured:
    """Overlap of the masks that are read from samples and those that they were drawn with."""
    found = _overlaps(c)
    estimate = Estimate(
        float(np.mean([one.mean.value for one in found.values()])),
        float(np.mean([one.mean.low for one in found.values()])),
        float(np.mean([one.mean.high for one in found.values()])),
        next(iter(found.values())).mean.method,
    )
    by_class = {
        name: [None if np.isnan(value) else value for value in one.classes]
        for name, one in found.items()
    }
    others = derangement(len(c.samples), 0, "shuffled maps").numpy()
    shuffled = replace(c.samples, maps=tuple(one.take(others) for one in c.samples.maps))
    chance = float(np.mean([one.mean.value for one in _overlaps(c, shuffled).values()]))
    return _whole(estimate, c, classes=by_class, shuffled=chance)


def mask_overlap_floor(c: Comparison) -> float:
    """The same of held-out images and their own masks."""
    return float(np.mean([one.mean.value for one in _overlaps(c.of_reference).values()]))


def _overlaps(c: Comparison, samples: Images | None = None) -> dict[str, Overlap]:
    """Equation (1) of `undrift.metrics.segmentation` for each mask."""
    drawn = c.samples if samples is None else samples
    return {
        name: overlap(c.segmenter(name), drawn.images, c.seen.masks[name].indexed(one), seed=c.seed)
        for name, one in drawn.masks.items()
        if name in c.seen.masks
    }


def map_error(c: Comparison) -> Measured:
    """Distance of the maps that are derived from samples and those that they were drawn with."""
    found = {
        one.spec.name: map_consistency(one.spec, c.samples.images, one.pixels)
        for one in c.samples.maps
        if one.spec.source != "paired"
    }
    own = [one.own for one in found.values()]
    estimate = Estimate(
        float(np.mean([one.value for one in own])),
        float(np.mean([one.low for one in own])),
        float(np.mean([one.high for one in own])),
        own[0].method,
    )
    shuffled = {name: one.shuffled.value for name, one in found.items()}
    by_map = {name: one.own.value for name, one in found.items()}
    return _whole(estimate, c, maps=by_map, shuffled=shuffled)


def by_class(c: Comparison) -> Measured:
    """Mean Frechet distance by class."""
    if c.reference.labels is None:
        raise UsageError("the reference has no labels")
    found = class_frechet(
        c.sample_features, c.required_labels, c.reference_features, c.reference.labels, c.classes
    )
    return _whole(found.mean, c, classes=found.values, left_out=found.left_out)


def by_class_floor(c: Comparison) -> float:
    """The same of real images, as many of each class."""
    return by_class(c.floor_by_class).estimate.value


def usefulness(c: Comparison) -> Measured:
    """Accuracy of a classifier trained on the samples."""
    if c.reference.labels is None:
        raise UsageError("the reference has no labels")
    accuracy = train_on_generated(
        c.samples.images,
        c.required_labels,
        c.reference.images,
        c.reference.labels,
        classes=len(c.classes),
        seed=c.seed,
    )
    return _whole(accuracy, c)


def memorization(c: Comparison) -> Measured:
    """Share of near-copies."""
    found = memorized_share(c.sample_neighbours, c.reference_neighbours)
    return Measured(
        found.share,
        len(c.sample_neighbours.distances),
        len(c.reference_neighbours.distances),
        {
            "flagged": found.flagged,
            "p_value": found.p_value,
            "exact": found.exact,
            "threshold": found.threshold,
            "held_out": None if found.held_out is None else found.held_out.value,
            "closest": tuple(
                replace(pair, sample=int(c.looked_up[pair.sample]))
                for pair in closest_pairs(c.sample_neighbours)
            ),
        },
    )


def memorization_floor(c: Comparison) -> float:
    """The same of held-out images."""
    return held_out_share(c.reference_neighbours).value


def copying(c: Comparison) -> Measured:
    """C_T."""
    made, real = c.sample_neighbours, c.reference_neighbours
    estimate = c_t(made.distances, real.distances, c.sample_cells, c.reference_cells)
    return Measured(estimate, len(made.distances), len(real.distances))


def copying_floor(c: Comparison) -> float:
    """None is measured.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        f"it would take {plural(len(c.samples), 'held-out image')} more; new real images score 0 "
        "on average, at any numbers"
    )


def authentic(c: Comparison) -> Measured:
    """Authenticity."""
    estimate = authenticity(c.sample_neighbours, c.own_distances(c.sample_neighbours))
    return Measured(estimate, len(c.sample_neighbours.distances), len(c.seen))


def authentic_floor(c: Comparison) -> float:
    """The same of the held-out images."""
    return authenticity(c.reference_neighbours, c.own_distances(c.reference_neighbours)).value
