"""One contrast that a claim rests on: an effect in the claimed direction, against its margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from undrift.comparison.verdicts.verdict import Verdict, judge
from undrift.metrics.bounded import ANY, Range
from undrift.metrics.seeds import paired_over_seeds


@dataclass(frozen=True)
class Part:
    """What one contrast says.

    Attributes:
        name: what is contrasted: "coverage, against r3gan".
        unit: of the numbers.
        verdict: the answer of this part.
        value: the effect; None where nothing could be measured.
        low: lower end of its 95 % interval.
        high: upper end.
        margin: what counts as a difference, fixed beforehand.
        n: seeds, or runs of each side.
        needed: fewer than these decide nothing; fixed beforehand.
        note: what a reader has to know beside it.
        less: whether smaller values speak for the claim, and not larger ones.
        condition: whether it must only hold: its number is the claim's only where it does not.
    """

    name: str
    unit: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    margin: float
    n: int
    needed: int
    note: str = ""
    less: bool = False
    condition: bool = False

    @property
    def few(self) -> bool:
        """Whether there was too little to decide anything."""
        return self.n < self.needed

    @property
    def strength(self) -> float:
        """How much it speaks for the claim, in margins: so parts of all units have an order."""
        if self.value is None:
            return -inf if self.verdict == "not supported" else 0.0
        return (-1 if self.less else 1) * self.value / (self.margin or 1.0)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        return dict(vars(self))


def paired(
    name: str,
    unit: str,
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    margin: float,
    needed: int,
    note: str = "",
    within: Range = ANY,
) -> Part:
    """First less second, seed by seed.

    Args:
        name: of the part.
        unit: of the numbers.
        first: seed -> value of what the claim favours; more is better.
        second: the same of the other side.
        margin: at least 0.
        needed: seeds.
        note: what to say beside it.
        within: the range of the numbers on either side.
    """
    found = paired_over_seeds(first, second, within)
    if found is None:
        return absent(name, unit, margin, needed, note or "both sides are known for no seed")
    few = found.n < needed
    verdict: Verdict = "inconclusive" if few else judge(found.low, found.high, margin)
    return Part(
        name, unit, verdict, found.value, found.low, found.high, margin, found.n, needed, note
    )


def absent(name: str, unit: str, margin: float, needed: int, reason: str) -> Part:
    """A part that could not be measured."""
    return Part(name, unit, "inconclusive", None, None, None, margin, 0, needed, reason)
