"""Figures of the six claims: nothing that was measured lies outside of its axes."""

from __future__ import annotations

from typing import Any

import pytest

from undrift.experiments.study.exhibits import stability
from undrift.experiments.study.exhibits.exhibit import PAGE


def sweep(distances: dict[str, list[float | None]], floor: float | None) -> dict[str, Any]:
    """A run for each distance of each method; None of one that broke off."""
    runs = [
        {"family": family, "method": f"{family}.x{2.0**place}", "seed": place, "health": None}
        | {"state": "failed" if value is None else "done"}
        | {"metrics": {} if value is None else {"fd": {"value": value}}}
        for family, values in distances.items()
        for place, value in enumerate(values)
    ]
    floors = {} if floor is None else {"fd": floor}
    return {"runs": runs, "ledgers": [{"floors": floors}]}


@pytest.mark.parametrize("floor", [0.4, None])
def test_every_run_and_the_floor_are_in_sight_at_one_scale(floor):
    found = sweep({"diffusion": [30.0, 21.0], "r3gan": [12.5, 26.0], "dcgan": [130.0, None]}, floor)
    (exhibit,) = stability.figures(found)
    axes = exhibit.draw(PAGE).axes
    assert len({axis.get_ylim() for axis in axes}) == 1
    heights = [float(y) for axis in axes for line in axis.lines for y in line.get_ydata()]
    assert len(heights) == 6 + (0 if floor is None else 3 * 2)  # a line has two ends
    low, high = axes[0].get_ylim()
    assert low * 1.2 < min(heights) and max(heights) < high / 1.2
    if floor is not None:
        assert min(heights) == floor
