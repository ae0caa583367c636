"""A claim with its answer: the verdict on all its parts, and the number of the one that decides.

The number is that of the weakest part: one that speaks against the claim if there is any, else one
that leaves it open, else the least of those that support it, in units of the margins. So a claim
never stands on its best exhibit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from undrift.comparison.verdicts.part import Part
from undrift.comparison.verdicts.verdict import Verdict, combined

_ORDER: dict[Verdict, int] = {"not supported": 0, "mixed": 1, "inconclusive": 2, "supported": 3}


@dataclass(frozen=True)
class Finding:
    """A claim and what was found.

    Attributes:
        name: of the claim.
        question: what was asked.
        verdict: the answer.
        value: the effect of the weakest part; None where nothing could be measured.
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
    parts: tuple[Part, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report's ``claims``."""
        return {**vars(self), "parts": [part.to_json() for part in self.parts]}


def found(name: str, question: str, unit: str, parts: Sequence[Part], lack: str) -> Finding:
    """The answer to ``question`` from its parts.

    Args:
        name: of the claim.
        question: what is asked.
        unit: of the numbers, if there is no part.
        parts: the contrasts; those that could not be measured leave the claim open.
        lack: why there is nothing, if there is no part.
    """
    known = [part for part in parts if part.value is not None or part.verdict != "inconclusive"]
    if not known:
        reason = parts[0].note if parts else lack
        return Finding(name, question, "inconclusive", None, None, None, unit, reason, tuple(parts))
    weakest = min(known, key=lambda part: (_ORDER[part.verdict], part.condition, part.strength))
    return Finding(
        name,
        question,
        combined([part.verdict for part in parts]),
        weakest.value,
        weakest.low,
        weakest.high,
        weakest.unit,
        _reason(weakest, parts),
        tuple(parts),
    )


def _reason(weakest: Part, parts: Sequence[Part]) -> str:
    reason = f"{weakest.name}, n = {weakest.n}, margin {weakest.margin:g}"
    if weakest.note:
        reason += f"; {weakest.note}"
    if few := [part for part in parts if part.few]:
        reason += f"; {len(few)} of {len(parts)} parts have fewer seeds than were fixed to decide"
    if len(parts) > 1:
        for verdict in ("supported", "not supported", "inconclusive"):
            if count := sum(part.verdict == verdict for part in parts):
                reason += f"; {count} of {len(parts)} parts {verdict}"
    if {part.verdict for part in parts} == {"not supported", "inconclusive"}:
        reason += ", so that it cannot come out as supported"
    return reason
