r"""Which flaws a metric can see, measured on the user's own images.

A set of real images is corrupted in known ways (`undrift.metrics.corruptions`), and every metric is
measured of the corrupted images as it is of samples, against the same reference as real images are.
With m_0 its value for the real images, m for the corrupted ones, and h_0, h half the widths of
their 95 % intervals (delete-a-group jackknife over images, reference fixed), the metric *sees* the
corruption if it moves in its worse direction by more than chance:

    worse(m - m_0) > sqrt(h_0^2 + h^2)                                                        (1)

Metrics of fidelity are tested on corruptions of single images, metrics of diversity on corruptions
of the set of images, and distances on both. A metric that does not see a corruption cannot be
evidence that samples are free of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Literal

import numpy as np
import torch

from undrift.errors import ModelFileError, UsageError
from undrift.files.durable import write_file
from undrift.files.reading import read_mapping
from undrift.metrics.bounded import bounded_interval
from undrift.metrics.catalogue import METRICS
from undrift.metrics.comparison import Comparison
from undrift.metrics.corruptions import corrupted, corruptions_of
from undrift.metrics.difference import leave_out, value_of
from undrift.metrics.features.cache import features_directory
from undrift.metrics.images import Images, rows_of
from undrift.metrics.jackknife import GROUPS, groups, half_width
from undrift.metrics.memorization import assign_cells
from undrift.metrics.results import Measurements, Response, Sensitivity
from undrift.randomness import generator
from undrift.schema import from_plain, to_plain

_log = logging.getLogger("undrift")

_VERSION = 2  # of corruptions and rule: a change of these must not find old results in the cache

MOST = 500
"""Real images that are corrupted."""

FEWEST = 2 * GROUPS
"""Real images below which nothing can be said."""

EXPECTED: dict[str, tuple[Literal["lower", "higher"], tuple[str, ...]]] = {
    "fd": ("lower", ("fidelity", "diversity")),
    "kid": ("lower", ("fidelity", "diversity")),
    "precision": ("higher", ("fidelity",)),
    "recall": ("higher", ("diversity",)),
    "density": ("higher", ("fidelity",)),
    "coverage": ("higher", ("fidelity", "diversity")),
}
"""Metric -> which way is better, and what kinds of corruption it is meant to notice."""


TEXTURE = "texture_fd"
"""The metric that has a feature space of its own, in which it is tested."""


def sensitivity(comparison: Comparison, names: Sequence[str]) -> Sensitivity:
    """Measure what those of ``names`` that are in `EXPECTED` see, on the comparison's real images.

    The samples play no part.

    Raises:
        UsageError: fewer than 40 real images beside the reference, or features without images.
    """
    metrics = [name for name in names if name in EXPECTED]
    base, pool = _real_images(comparison)
    # half of the pool is the real set, so that a missing half of the modes leaves as many
    count = min(MOST, len(pool) // 2)
    if count < FEWEST:
        raise UsageError(
            f"{len(pool)} real images beside the reference: needs at least {2 * FEWEST} to test "
            "what the metrics see"
        )
    real = pool.draw(count, comparison.seed, "sensitivity")
    sets: list[tuple[str, str, str, Images]] = [
        (one.name, one.aspect, one.lowers, corrupted(real, one, comparison.seed))
        for one in corruptions_of(real.images)
    ]
    if (half := _half_of_the_modes(pool, base, count)) is not None:
        sets.append(("missing modes", "missing modes", "diversity", half))
    parts = groups(count, comparison.seed, "sensitivity groups")

    def measured(images: Images, wanted: Sequence[str]) -> dict[str, tuple[float, float]]:
        made = replace(base, samples=images)
        without = leave_out(wanted, made, parts)
        return {name: (value_of(name, made), half_width(without[name])) for name in wanted}

    before = measured(real, metrics)
    responses = []
    for name, aspect, lowers, images in sets:
        wanted = [metric for metric in metrics if lowers in EXPECTED[metric][1]]
        for metric, (value, half) in measured(images, wanted).items():
            start, half_start = before[metric]
            worse = value - start if EXPECTED[metric][0] == "lower" else start - value
            seen = worse > math.hypot(half, half_start)  # (1)
            ends = bounded_interval(value, half, METRICS[metric].within)
            responses.append(Response(metric, name, aspect, value, *ends, bool(seen)))
    return Sensitivity(
        comparison.extractor.name,
        count,
        len(base.reference),
        {metric: value for metric, (value, _) in before.items()},
        tuple(responses),
    )


def with_sensitivity(found: Measurements, comparison: Comparison) -> Measurements:
    """``found`` with what its metrics notice in images like the real ones of ``comparison``.

    Returns:
        a copy with ``sensitivity``, empty where there are too few images, and then
        ``sensitivity_missing``: why; and with ``unseen`` in every metric that was tested.
    """
    names = list(found.metrics)
    spaces = [(comparison, [name for name in names if name in EXPECTED], "")]
    if TEXTURE in names:
        spaces.append((comparison.in_texture, ["fd"], TEXTURE))
    try:
        tested = [_cached(space, some, renamed) for space, some, renamed in spaces if some]
    except UsageError as error:
        return replace(found, sensitivity=(), sensitivity_missing=str(error))
    metrics = dict(found.metrics)
    for one in tested:
        for name in one.real:
            metrics[name] = replace(metrics[name], unseen=one.unseen(name))
    return replace(found, metrics=metrics, sensitivity=tuple(tested))


def _cached(comparison: Comparison, names: Sequence[str], renamed: str) -> Sensitivity:
    """`sensitivity` as it was measured before of the same images in the same space, or anew."""
    base, pool = _real_images(comparison)
    digest = hashlib.sha256(
        f"{_VERSION}|{MOST}|{comparison.extractor.name}|{','.join(names)}|{renamed}|"
        f"{comparison.seed}|{pool.images.shape}|{base.reference.images.shape}|".encode()
    )
    for part in (pool, base.reference):
        digest.update(np.ascontiguousarray(part.images).tobytes())
        digest.update(b"" if part.labels is None else part.labels.tobytes())
    path = features_directory() / f"sensitivity-{digest.hexdigest()[:24]}.json"
    if path.exists():
        try:
            plain = read_mapping(path, ModelFileError, "delete it")
            return from_plain(Sensitivity, plain, str(path))
        except (ModelFileError, UsageError) as error:
            _log.warning("the cached %s is damaged (%s): measuring it again", path, error)
    found = sensitivity(comparison, names)
    if renamed:
        responses = tuple(replace(one, metric=renamed) for one in found.responses)
        found = replace(found, real={renamed: found.real["fd"]}, responses=responses)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(to_plain(found), indent=1).encode(), durable=False)
    except OSError as error:
        _log.warning("what metrics see is not cached: %s cannot be written (%s)", path, error)
    return found


def _real_images(comparison: Comparison) -> tuple[Comparison, Images]:
    """The comparison with its reference alone, and other real images to corrupt.

    These are training images; where nothing was held out, one half of the reference.
    """
    if not comparison.pixels:
        raise UsageError("the stored reference holds features, no images to corrupt")
    if prod(comparison.reference.images.shape[1:]) <= 2:
        raise UsageError("toy 2-D points are not images that could be corrupted")
    reference, features = comparison.reference, comparison.reference_features
    if comparison.training is not None and comparison.own_rows is None:
        pool = comparison.training
    else:
        order = torch.randperm(
            len(reference), generator=generator(comparison.seed, "sensitivity halves")
        ).numpy()
        first, second = np.sort(order[::2]), np.sort(order[1::2])
        pool, reference, features = reference.take(first), reference.take(second), features[second]
    base = replace(
        comparison,
        reference=reference,
        known_features=features,
        known_floor=None,
        own_rows=None,
        networks={},
    )
    return base, pool.draw(2 * MOST, comparison.seed, "sensitivity pool")


def _half_of_the_modes(pool: Images, base: Comparison, count: int) -> Images | None:
    """``count`` images of one half of the classes, or of clusters; None where there is no half."""
    modes = pool.labels
    if modes is None or len(np.unique(modes)) < 2:
        modes = assign_cells(base.extractor.features(pool.images), cells=10, seed=base.seed)[0]
    names, sizes = np.unique(modes, return_counts=True)
    largest = names[np.argsort(-sizes, kind="stable")]
    kept = largest[: len(names) // 2]  # of the largest modes there are enough images
    rows = np.flatnonzero(np.isin(modes, kept))
    if len(rows) < count:
        return None
    return pool.take(rows[rows_of(len(rows), count, base.seed, "missing modes")])
