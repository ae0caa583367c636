r"""Differences of metrics between two sets of samples that share their reference.

Both sets are measured against the same real images, and where they are drawn with the same seeds
and labels, sample i of one belongs to sample i of the other. Leaving out the same group g of G from
both keeps the pairs together: with d the difference and d_(g) the difference without group g, the
delete-a-group jackknife gives

.. math:: \widehat{\mathrm{Var}}(d) = \frac{G - 1}{G} \sum_g (d_{(g)} - \bar d)^2               (1)

and the interval is d +- t_{G-1} times its root. The reference is held fixed, it is the same in
both.

Reference: Kott, "The delete-a-group jackknife" (2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from undrift.errors import UsageError
from undrift.metrics.catalogue import METRICS
from undrift.metrics.comparison import Comparison
from undrift.metrics.frechet_infinity import GROUPS, T19
from undrift.randomness import generator

PAIRED = (
    "fd",
    "kid",
    "mind",
    "precision",
    "recall",
    "density",
    "coverage",
    "label_accuracy",
)
"""Metrics that are cheap enough to be measured once per group."""


def paired_differences(
    first: Comparison, second: Comparison, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Equation (1) for those of ``names`` that can be had: ``value``, ``low``, ``high``.

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
    order = torch.randperm(count, generator=generator(first.seed, "jackknife groups"))
    groups = [part.numpy() for part in order.tensor_split(GROUPS)]
    found: dict[str, dict[str, Any]] = {}
    wanted = [name for name in names if name in PAIRED]
    whole = {name: _difference(name, first, second) for name in wanted}
    parts: dict[str, list[float]] = {name: [] for name in wanted}
    for group in groups:
        one, other = first.without(group), second.without(group)
        for name in wanted:
            parts[name].append(_difference(name, one, other))
    for name in wanted:
        left_out = np.array(parts[name])
        variance = (GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum()  # (1)
        half = T19 * math.sqrt(variance)
        found[name] = {
            "value": whole[name],
            "low": whole[name] - half,
            "high": whole[name] + half,
            "interval": f"delete-a-group jackknife, {GROUPS} groups of pairs; reference fixed",
        }
    return found


def _difference(name: str, first: Comparison, second: Comparison) -> float:
    measure = METRICS[name].measure
    return measure(first).estimate.value - measure(second).estimate.value
