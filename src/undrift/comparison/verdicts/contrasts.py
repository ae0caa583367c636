"""Contrasts of a claim, and from all of them its verdict.

The number of a claim is that of its weakest contrast: one that contradicts it if there is any,
else one that is inconclusive, else the least of those that support it, in units of the margins. So
a claim never rests on its best contrast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undrift.comparison.verdicts.verdict import combined, verdict_of
from undrift.metrics.bounded import ANY, Range
from undrift.metrics.seeds import paired_over_seeds
from undrift.results.verdict import ClaimResult, Contrast, Verdict

_ORDER: dict[Verdict, int] = {"not supported": 0, "mixed": 1, "inconclusive": 2, "supported": 3}

Values = Mapping[int, float]
"""Seed -> number."""


@dataclass(frozen=True)
class Claim:
    """A claim about diffusion models and GANs; all was fixed before anything was measured.

    Attributes:
        name: of the claim.
        question: that its verdict answers.
        unit: of its numbers.
        margin: effects up to this do not count.
        needed: seeds, or runs of each side; fewer are inconclusive.
        lacking: the reason for no number where there is no contrast.
        within: range of the numbers on either side.
    """

    name: str
    question: str
    unit: str
    margin: float
    needed: int
    lacking: str
    within: Range = ANY

    def paired(self, name: str, first: Values, second: Values) -> Contrast:
        """First less second, seed by seed.

        Args:
            name: of the contrast.
            first: seed -> value of what the claim favours; more is better.
            second: the same of the other side.
        """
        found = paired_over_seeds(first, second, self.within)
        if found is None:
            return self.absent(name, "no seed has both measurements")
        few = found.n < self.needed
        verdict: Verdict = "inconclusive" if few else verdict_of(found.low, found.high, self.margin)
        ends = (found.value, found.low, found.high)
        return Contrast(name, self.unit, verdict, *ends, self.margin, found.n, self.needed)

    def absent(self, name: str, reason: str) -> Contrast:
        """A contrast that could not be measured."""
        none = (None, None, None)
        return Contrast(name, self.unit, "inconclusive", *none, self.margin, 0, self.needed, reason)

    def result(self, contrasts: Sequence[Contrast]) -> ClaimResult:
        """The verdict from all contrasts; those that could not be measured leave it open."""
        parts = tuple(contrasts)
        known = [one for one in parts if one.value is not None or one.verdict != "inconclusive"]
        if not known:
            reason = parts[0].note if parts else self.lacking
            return ClaimResult(
                self.name, self.question, "inconclusive", None, None, None, self.unit, reason, parts
            )
        weakest = min(known, key=lambda one: (_ORDER[one.verdict], one.condition, one.strength))
        return ClaimResult(
            self.name,
            self.question,
            combined([one.verdict for one in parts]),
            weakest.value,
            weakest.low,
            weakest.high,
            weakest.unit,
            _reason(weakest, parts),
            parts,
        )


def _reason(weakest: Contrast, parts: Sequence[Contrast]) -> str:
    reason = f"{weakest.name}, n = {weakest.n}, margin {weakest.margin:g}"
    if weakest.note:
        reason += f"; {weakest.note}"
    if few := [part for part in parts if part.few]:
        reason += f"; {len(few)} of {len(parts)} contrasts have fewer seeds than needed"
    if len(parts) > 1:
        for verdict in ("supported", "not supported", "inconclusive"):
            if count := sum(part.verdict == verdict for part in parts):
                reason += f"; {count} of {len(parts)} contrasts {verdict}"
    if {part.verdict for part in parts} == {"not supported", "inconclusive"}:
        reason += ", so that more seeds cannot make the claim supported"
    return reason
