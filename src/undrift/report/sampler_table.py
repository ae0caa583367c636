"""The best sampler within each budget, in words."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.results.curve import BestPoint, CurveResult, Interval, RankedPoint
from undrift.wording import plural


@dataclass(frozen=True)
class BudgetLine:
    """One budget.

    Attributes:
        budget: network evaluations per image, at most.
        best: sampler and its number of steps.
        value: of the metric, with its interval.
        runner_up: the best other sampler and its value, or a dash.
        told_apart: whether the intervals of the two overlap.
    """

    budget: int
    best: str
    value: str
    runner_up: str
    told_apart: str


def budget_lines(curve: CurveResult, metric: str) -> list[BudgetLine]:
    """Lines of every budget for ``metric``."""
    return [
        BudgetLine(
            best.budget,
            f"{best.sampler}, {plural(best.steps, 'step')}",
            _value(best),
            "-" if best.runner_up is None else f"{best.runner_up.sampler} {_value(best.runner_up)}",
            _apart(best),
        )
        for best in curve.best.get(metric, ())
    ]


def _apart(best: BestPoint) -> str:
    words = {None: "-", True: "the intervals overlap", False: "better beyond its interval"}
    found = words[best.overlaps]
    if best.difference is None:
        return found
    return f"{found}; pair by pair {_value(best.difference)}"


def _value(one: RankedPoint | Interval) -> str:
    if one.low is None or one.high is None:
        return f"{one.value:.3g}"
    return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"
