"""The verdict on a claim."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

Verdict = Literal["supported", "mixed", "not supported", "inconclusive"]
"""Verdict on a claim."""


@dataclass(frozen=True)
class Contrast:
    """An effect in the direction that a claim states, against its margin.

    Attributes:
        name: what is contrasted: "coverage, against r3gan".
        unit: of the numbers.
        verdict: on this contrast.
        value: the effect; None where nothing could be measured.
        low: lower end of its 95 % interval.
        high: upper end.
        margin: what counts as a difference, fixed beforehand.
        n: seeds, or runs of each side.
        needed: with fewer the contrast is inconclusive; fixed beforehand.
        note: what a reader has to know beside it.
        less: whether smaller values support the claim, and not larger ones.
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
        """Whether there are fewer seeds or runs than needed."""
        return self.n < self.needed

    @property
    def strength(self) -> float:
        """The effect in units of the margin, so that contrasts of all units have an order."""
        if self.value is None:
            return -inf if self.verdict == "not supported" else 0.0
        return (-1 if self.less else 1) * self.value / (self.margin or 1.0)


@dataclass(frozen=True)
class ClaimResult:
    """The verdict on a claim.

    Attributes:
        name: of the claim.
        question: that the verdict answers.
        verdict: the answer.
        value: the effect of the weakest contrast; None where nothing could be measured.
        low: lower end of its 95 % interval.
        high: upper end.
        unit: of ``value``.
        reason: what the verdict rests on, or why there is no number.
        parts: every contrast.
    """

    name: str
    question: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    unit: str
    reason: str
    parts: tuple[Contrast, ...] = ()
