"""Figures of the six claims: nothing that was measured lies outside of its axes."""

from __future__ import annotations

from typing import Any

import pytest

from undrift.claims.figures import coverage, stability
from undrift.claims.figures.exhibit import PAGE


def sweep(distances: dict[str, list[float | None]], floor: float | None) -> dict[str, Any]:
    """A run for each distance of each method; None of one that diverged, and -1 of one lost."""
    runs = [
        {"family": family, "method": f"{family}.x{2.0**place}", "seed": place, "health": None}
        | {"name": f"{family}-{place}"}
        | {"state": {None: "diverged", -1: "failed"}.get(value, "done")}
        | {"metrics": {} if value in (None, -1) else {"fd": {"value": value}}}
        for family, values in distances.items()
        for place, value in enumerate(values)
    ]
    floors = {} if floor is None else {"fd": floor}
    return {"runs": runs, "ledgers": [{"floors": floors}]}


@pytest.mark.parametrize("floor", [0.4, None])
def test_every_run_and_the_floor_are_in_sight_at_one_scale(floor):
    found = sweep(
        {"diffusion": [30.0, 21.0], "r3gan": [12.5, 26.0], "dcgan": [130.0, None, -1]}, floor
    )
    (exhibit,) = stability.figures(found)
    axes = exhibit.draw(PAGE).axes
    assert len({axis.get_ylim() for axis in axes}) == 1
    heights = [float(y) for axis in axes for line in axis.lines for y in line.get_ydata()]
    assert len(heights) == 6 + (0 if floor is None else 3 * 2)  # a line has two ends
    low, high = axes[0].get_ylim()
    assert low * 1.2 < min(heights) and max(heights) < high / 1.2
    if floor is not None:
        assert min(heights) == floor


def test_what_was_lost_to_something_else_counts_neither_way():
    found = sweep({"diffusion": [30.0, -1], "dcgan": [-1, -1], "r3gan": [None, 26.0, -1]}, None)
    rows = {row[0]: row[1] for row in stability.table(found, {}).rows}
    assert rows["diffusion"].startswith("0 of 1: 0%") and rows["dcgan"] == "-"
    assert rows["r3gan"].startswith("1 of 2: 50%")


def test_names_of_classes_are_no_formulas():
    record = {"kind": "tail", "method": "dcgan", "made": [0.5, 0.5], "wanted": [0.9, 0.1]}
    pieces = {"tail/a": record | {"classes": ["$5_$9", "a^b$"], "share": 0.5}}
    exhibit = next(one for one in coverage.figures(pieces) if "tail" in one.name)
    assert exhibit.png[:4] == b"\x89PNG" and "$5_$9" in exhibit.svg
