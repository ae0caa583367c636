"""Differences of metrics between two sets of samples that share their reference.

Both sets are measured against the same real images, and where they are drawn with the same seeds
and labels, sample i of one belongs to sample i of the other. Leaving out the same group g of G from
both keeps the pairs together in the delete-a-group jackknife. The reference is held fixed, it is
the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from undrift.advice import possible
from undrift.errors import UsageError
from undrift.metrics import neighbourhoods
from undrift.metrics.bounded import bounded_interval, difference_of
from undrift.metrics.catalogue import METRICS
from undrift.metrics.comparison import Comparison
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.jackknife import GROUPS, groups, half_width
from undrift.metrics.kernel import kernel_distances_without
from undrift.metrics.results import Difference
from undrift.metrics.sliced import sliced_distances_without

PAIRED = (
    "fd",
    "kid",
    "mind",
    *neighbourhoods.NAMES,
    "label_accuracy",
)
"""Metrics that are cheap enough to be measured once per group."""

INTERVAL = f"delete-a-group jackknife, {GROUPS} groups of pairs; reference fixed"


def paired_differences(
    first: Comparison, second: Comparison, names: Sequence[str]
) -> dict[str, Difference]:
    """Differences, first less second, of those of ``names`` that can be had.

    Raises:
        UsageError: different numbers of samples, fewer than one per group, or another reference.
    """
    count = len(first.samples)
    if len(second.samples) != count or count < GROUPS:
        hint = possible("give one by {n}", "take as many of each")
        raise UsageError(
            f"{count} and {len(second.samples)} samples: differences need equal numbers, at least "
            f"{GROUPS}; {hint}"
        )
    if first.reference is not second.reference:
        raise UsageError("two sets of samples with different references cannot be compared")
    found: dict[str, Difference] = {}
    wanted = [name for name in names if name in PAIRED]
    parts = groups(count, first.seed, "jackknife groups")
    one, other = (leave_out(wanted, comparison, parts) for comparison in (first, second))
    for name in wanted:
        value = value_of(name, first) - value_of(name, second)
        half = half_width([x - y for x, y in zip(one[name], other[name], strict=True)])
        low, high = bounded_interval(value, half, difference_of(METRICS[name].within))
        found[name] = Difference(value, low, high, INTERVAL)
    return found


def leave_out(
    names: Sequence[str], comparison: Comparison, parts: Sequence[NDArray[np.int64]]
) -> dict[str, list[float]]:
    """Each of ``names`` in `PAIRED` with each of ``parts`` of the samples left out, in turn."""
    found: dict[str, list[float]] = {}
    if any(name in neighbourhoods.NAMES for name in names):
        balls = comparison.ball_values_without(parts)
        found |= {name: [values[name] for values in balls] for name in neighbourhoods.NAMES}
    features = comparison.sample_features, comparison.reference_features
    if "kid" in names:
        found["kid"] = kernel_distances_without(*features, parts)
    if "mind" in names:
        found["mind"] = sliced_distances_without(*features, parts, seed=comparison.seed)
    rest = [name for name in names if name not in found]
    less = [comparison.without(part) for part in parts] if rest else []
    return found | {name: [value_of(name, each) for each in less] for name in rest}


def value_of(name: str, comparison: Comparison) -> float:
    """The metric ``name`` in `PAIRED`, without its interval."""
    if name in neighbourhoods.NAMES:
        return comparison.ball_values[name]
    if name == "fd":
        return frechet_distance(comparison.sample_features, comparison.reference_moments)
    return METRICS[name].measure(comparison).estimate.value
