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
from dataclasses import dataclass

from torch import Tensor

from undrift.conditioning import Condition, ConditionSpec
from undrift.randomness import derangement

Z = 1.96
"""Half a 95 % interval in standard errors."""


@dataclass(frozen=True)
class ConditionGap:
    """The gap of equation (1) of one kind of condition.

    Attributes:
        gaps: (L,) at L noise levels.
        standard_errors: (L,) of these.
        gap: their mean, paired by image.
        standard_error: of the mean.
        loss: the mean error under the own conditions.
    """

    gaps: tuple[float, ...]
    standard_errors: tuple[float, ...]
    gap: float
    standard_error: float
    loss: float

    def sentence(self, name: str) -> str:
        """Say in words whether a model follows its conditions of the kind ``name``."""
        low, high = self.gap - Z * self.standard_error, self.gap + Z * self.standard_error
        share = (
            f"{self.gap / self.loss:+.1%} (95% interval {low / self.loss:+.1%} to "
            f"{high / self.loss:+.1%})"
        )
        verdict = "" if low > 0 else "; so far nothing shows that the model follows it"
        return f"condition gap: with {name} shuffled, the held-out loss changes by {share}{verdict}"


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


def condition_gap(right: Tensor, wrong: Tensor) -> ConditionGap:
    """Return the gap of equation (1).

    Args:
        right: (L, N) errors of N images at L noise levels under their own conditions.
        wrong: (L, N) under those of other images.
    """
    differences = (wrong - right).double()
    by_image = differences.mean(0)
    root = math.sqrt(len(by_image))
    return ConditionGap(
        gaps=tuple(differences.mean(1).tolist()),
        standard_errors=tuple((differences.std(1, correction=1) / root).tolist()),
        gap=float(by_image.mean()),
        standard_error=float(by_image.std(correction=1) / root),
        loss=float(right.double().mean()),
    )
