"""From an interval to a verdict: a rule, not an impression.

With ``d`` an effect in the claimed direction, ``[low, high]`` its interval over seeds and ``delta``
the margin, differences within ``[-delta, delta]`` are too small to matter, and the claim "better by
more than delta" is

    supported      if low > delta                                                                (1)
    not supported  if high < delta                                                               (2)
    inconclusive   otherwise: more seeds could still decide either way                           (3)

Of a claim with several contrasts (methods, metrics), all supported is supported, none supported and
none open is not supported, some of either is mixed, and else it stays inconclusive.

Reference: Schuirmann, "A comparison of the two one-sided tests procedure" (1987), for equivalence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from undrift.errors import UsageError
from undrift.results.comparison import Standing
from undrift.results.verdict import Verdict


def verdict_of(low: float | None, high: float | None, delta: float) -> Verdict:
    """Equations (1) to (3) for an effect whose larger values support the claim.

    Args:
        low: lower end of the effect's interval; None where one seed gives none.
        high: upper end.
        delta: margin, at least 0.

    Raises:
        UsageError: a margin below 0, or ends out of order.
    """
    if not delta >= 0:
        raise UsageError(f"margin {delta}: wanted a number from 0 up")
    if low is None or high is None:
        return "inconclusive"
    if not low <= high:
        raise UsageError(f"interval from {low} to {high}: wanted its ends in order")
    if low > delta:
        return "supported"  # (1)
    return "not supported" if high < delta else "inconclusive"  # (2), (3)


def standing(
    low: float | None, high: float | None, delta: float, better: Literal["lower", "higher"]
) -> Standing:
    """How a method stands to another, from the interval of its difference to that one.

    Raises:
        UsageError: as `verdict_of`.
    """
    if low is None or high is None:
        return "open"
    gain = (low, high) if better == "higher" else (-high, -low)
    loss = (-gain[1], -gain[0])
    ahead, behind = verdict_of(*gain, delta), verdict_of(*loss, delta)
    if ahead == "supported":
        return "better"
    if behind == "supported":
        return "worse"
    return "alike" if ahead == behind == "not supported" else "open"


def combined(contrasts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that has several contrasts.

    Raises:
        UsageError: no contrasts.
    """
    if not contrasts:
        raise UsageError("a verdict on nothing: give one contrast or more")
    kinds = set(contrasts)
    if len(kinds) == 1:
        return contrasts[0]
    return (
        "mixed" if kinds >= {"supported", "not supported"} or "mixed" in kinds else "inconclusive"
    )
