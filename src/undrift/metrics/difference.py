"""Differences of metrics between two sets of samples that share their reference.

Both sets are measured against the same real images, and where they are drawn with the same seeds
and labels, sample i of one belongs to sample i of the other. Leaving out the same group g of G from
both keeps the pairs together in the delete-a-group jackknife. The reference is held fixed, it is
the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undrift.errors import UsageError
from undrift.metrics import neighbourhoods
from undrift.metrics.catalogue import METRICS
from undrift.metrics.comparison import Comparison
from undrift.metrics.jackknife import GROUPS, groups, half_width

PAIRED = (
    "fd",
    "kid",
    "mind",
    *neighbourhoods.NAMES,
    "label_accuracy",
)
"""Metrics that are cheap enough to be measured once per group."""


def paired_differences(
    first: Comparison, second: Comparison, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Differences, first less second, of those of ``names`` that can be had.

    Each has ``value``, ``low``, ``high`` and ``interval``, how these were made.

    Raises:
        UsageError: different numbers of samples, fewer than one per group, or another reference.
    """
    count = len(first.samples)
    if len(second.samples) != count or count < GROUPS:
        raise UsageError(
            f"{count} and {len(second.samples)} samples: differences need equal numbers, at least "
            f"{GROUPS}; name it by --n"
        )
    if first.reference is not second.reference:
        raise UsageError("two sets of samples with different references cannot be compared")
    found: dict[str, dict[str, Any]] = {}
    wanted = [name for name in names if name in PAIRED]
    whole = {name: _difference(name, first, second) for name in wanted}
    parts: dict[str, list[float]] = {name: [] for name in wanted}
    for group in groups(count, first.seed, "jackknife groups"):
        one, other = first.without(group), second.without(group)
        for name in wanted:
            parts[name].append(_difference(name, one, other))
    for name in wanted:
        half = half_width(parts[name])
        found[name] = {
            "value": whole[name],
            "low": whole[name] - half,
            "high": whole[name] + half,
            "interval": f"delete-a-group jackknife, {GROUPS} groups of pairs; reference fixed",
        }
    return found


def _difference(name: str, first: Comparison, second: Comparison) -> float:
    return _value(name, first) - _value(name, second)


def _value(name: str, comparison: Comparison) -> float:
    if name in neighbourhoods.NAMES:
        return comparison.ball_values[name]
    return METRICS[name].measure(comparison).estimate.value
