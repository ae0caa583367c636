"""The best sampler within each budget, in words."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.report.history import Record
from undrift.wording import plural


@dataclass(frozen=True)
class BudgetLine:
    """One budget.

    Attributes:
        budget: network evaluations per image, at most.
        best: sampler and its number of steps.
        value: of the metric, with its interval.
        runner_up: the best other sampler and its value, or a dash.
        told_apart: what the intervals say of the two.
    """

    budget: int
    best: str
    value: str
    runner_up: str
    told_apart: str


def budget_lines(curve: Record, metric: str) -> list[BudgetLine]:
    """Lines of every budget for ``metric``."""
    lines = []
    for entry in curve.get("best", {}).get(metric, ()):
        second = entry["runner_up"]
        lines.append(
            BudgetLine(
                entry["budget"],
                f"{entry['sampler']}, {plural(entry['steps'], 'step')}",
                _value(entry),
                "-" if second is None else f"{second['sampler']} {_value(second)}",
                _apart(entry),
            )
        )
    return lines


def _apart(entry: Record) -> str:
    words = {None: "-", True: "the intervals overlap", False: "better beyond its interval"}
    paired = entry.get("difference")
    told = words[entry["overlaps"]]
    return told if paired is None else f"{told}; pair by pair {_value(paired)}"


def _value(entry: Record) -> str:
    if entry["low"] is None or entry["high"] is None:
        return f"{entry['value']:.3g}"
    return f"{entry['value']:.3g} ({entry['low']:.3g} to {entry['high']:.3g})"
