"""Which sampler is best within each budget, and whether the next one is told apart from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Better = Literal["lower", "higher"]
Measured = dict[str, Any]
"""A point as it stands in ``curve.json``: ``sampler``, ``nfe``, ``steps``, ``metrics``, ..."""


def best_within(
    cells: Sequence[Measured], metric: str, better: Better, budgets: Sequence[int]
) -> list[dict[str, Any]]:
    """The best point of at most each number of evaluations.

    Returns:
        One record per budget within which anything was measured: ``budget``, ``sampler``, ``nfe``,
        ``steps``, ``value``, ``low``, ``high``; ``runner_up``, the same of the best other sampler,
        or None; ``overlaps``, whether the two 95 % intervals have a value in common, so that the
        order may be chance, or None where one of them is missing; and ``difference``, None until
        `add_differences` has compared the two.
    """
    found = []
    for budget in sorted(budgets):
        points = [_point(c, metric) for c in cells if c["nfe"] <= budget and metric in c["metrics"]]
        if not points:
            continue
        best = _first(points, better)
        others = [point for point in points if point["sampler"] != best["sampler"]]
        second = _first(others, better) if others else None
        found.append(
            {
                "budget": budget,
                **best,
                "runner_up": second,
                "overlaps": _overlap(best, second),
                "difference": None,
            }
        )
    return found


def _first(points: Sequence[Measured], better: Better) -> Measured:
    """The best of ``points``; of equals the cheapest."""
    return min(points, key=lambda point: (_rank(point, better), point["nfe"]))


def _rank(point: Measured, better: Better) -> float:
    return point["value"] if better == "lower" else -point["value"]


def _point(cell: Measured, metric: str) -> Measured:
    record = cell["metrics"][metric]
    return {name: cell[name] for name in ("sampler", "nfe", "steps")} | {
        name: record[name] for name in ("value", "low", "high")
    }


def _overlap(one: Measured, other: Measured | None) -> bool | None:
    if other is None or None in (one["low"], one["high"], other["low"], other["high"]):
        return None
    return one["low"] <= other["high"] and other["low"] <= one["high"]
