"""The six claims: of each its verdict, its figures and its tables, from what a study has found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from undrift.claims import control, coverage, inference, likelihood, scaling, stability
from undrift.claims.evidence import Evidence
from undrift.claims.figures import Table
from undrift.report.figure import Chart
from undrift.report.pictures import Picture
from undrift.results.verdict import ClaimResult


def _no_pictures(evidence: Evidence) -> Sequence[tuple[str, Picture]]:
    del evidence
    return ()


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        title: as a heading.
        measure: its verdict.
        figures: its charts.
        tables: of numbers.
        pictures: rows of images with their names.
    """

    title: str
    measure: Callable[[Evidence], ClaimResult]
    figures: Callable[[Evidence], Sequence[Chart]]
    tables: Callable[[Evidence], Sequence[Table]]
    pictures: Callable[[Evidence], Sequence[tuple[str, Picture]]] = _no_pictures


CLAIMS = {
    "stability": Claim("Stability", stability.measure, stability.figures, stability.tables),
    "coverage": Claim("Coverage", coverage.measure, coverage.figures, coverage.tables),
    "scaling": Claim("Scaling", scaling.measure, scaling.figures, scaling.tables),
    "control": Claim("Control", control.measure, control.figures, control.tables, control.pictures),
    "likelihood": Claim("Likelihood", likelihood.measure, likelihood.figures, likelihood.tables),
    "inference": Claim("Inference cost", inference.measure, inference.figures, inference.tables),
}


def effect(unit: str, value: float | None) -> str:
    """``+12.3 points``, ``3.1 times``, ``+0.42``; a dash where there is none."""
    if value is None:
        return "-"
    if unit.startswith("times"):
        return f"{value:.3g} times"
    if unit.startswith(("share", "label accuracy")):
        return f"{100 * value:+.3g} points"
    if unit.startswith("dB"):
        return f"{value:+.3g} dB"
    return f"{value:+.3g}"


def interval(unit: str, low: float | None, high: float | None) -> str:
    """``+1 to +3 points``, or that there is none."""
    if low is None or high is None:
        return "no interval"
    first, last = effect(unit, low), effect(unit, high)
    return f"{first.split(' ')[0]} to {last}"
