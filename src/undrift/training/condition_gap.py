r"""The condition gap: how much a model's conditions lower its held-out loss.

.. math::

    g = \frac1N \sum_i \bigl[\ell(x_i, c_{\pi(i)}) - \ell(x_i, c_i)\bigr]                    (1)

with :math:`\ell` the validation error of held-out image :math:`x_i` at one noise level, the same
noise in both terms, :math:`c_i` its condition and :math:`\pi` a permutation without fixed points.
It is 0 for a model that ignores its conditions, and above 0 long before that shows in samples. The
interval is over the N differences, which are paired by image.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from undrift.conditioning import Condition, ConditionSpec
from undrift.randomness import derangement

Z = 1.96
"""Half a 95 % interval in standard errors."""


def others(count: int, seed: int) -> Tensor:
    """Return another row for each of ``count`` >= 2 rows, int64 (count,), each row once."""
    return derangement(count, seed, "condition gap")


def shuffled(
    spec: ConditionSpec, condition: Condition, count: int, seed: int
) -> dict[str, Condition]:
    """For each kind that a model takes and is trained without at times, ``condition`` of others.

    Args:
        spec: of the model.
        condition: of ``count`` images.
        count: how many.
        seed: of the permutation, which is that of every kind.

    Returns:
        Kind -> ``condition`` with the entries of that kind permuted; empty for one image.
    """
    if count < 2:
        return {}
    other = others(count, seed)
    return {
        kind.name: condition.with_entry(kind.name, condition[kind.name][other])
        for kind in spec.kinds
        if kind.dropout and kind.name in condition
    }


def condition_gap(right: Tensor, wrong: Tensor) -> dict[str, Any]:
    """Return the gap of equation (1) as entries of an event.

    Args:
        right: (L, N) errors of N images at L noise levels under their own conditions.
        wrong: (L, N) under those of other images.

    Returns:
        ``gaps`` and their ``standard_errors`` by level, and ``gap`` and ``standard_error`` of their
        mean, paired by image; ``loss`` is the mean error under the own conditions.
    """
    differences = (wrong - right).double()
    by_image = differences.mean(0)
    root = math.sqrt(len(by_image))
    return {
        "gaps": differences.mean(1).tolist(),
        "standard_errors": (differences.std(1, correction=1) / root).tolist(),
        "gap": float(by_image.mean()),
        "standard_error": float(by_image.std(correction=1) / root),
        "loss": float(right.double().mean()),
    }


def gap_sentence(name: str, found: dict[str, Any]) -> str:
    """Say in words whether a model follows its conditions of one kind.

    Args:
        name: of the kind, such as ``text``.
        found: from `condition_gap`.
    """
    gap, error, loss = (float(found[key]) for key in ("gap", "standard_error", "loss"))
    low, high = gap - Z * error, gap + Z * error
    share = f"{gap / loss:+.1%} (95% interval {low / loss:+.1%} to {high / loss:+.1%})"
    verdict = "" if low > 0 else "; so far nothing shows that the model follows it"
    return f"condition gap: with {name} shuffled, the held-out loss changes by {share}{verdict}"
