"""Figures of the six claims: nothing that was measured lies outside of its axes."""

from __future__ import annotations

import pytest
from tests.claims.planted import ends
from tests.claims.results import comparison, failed_run, measured_run

from undrift.claims import coverage, stability
from undrift.claims.evidence import Evidence
from undrift.claims.preset import QUICK
from undrift.report.figure import PAGE
from undrift.results.claims import TailShares


def sweep(distances: dict[str, list[float | None]], floor: float | None) -> Evidence:
    """A run for each distance of each method; None of one that diverged, and -1 of one lost."""
    runs = []
    for base, values in distances.items():
        for seed, value in enumerate(values):
            name = f"{base}.x{2.0**seed}"
            if value is None or value == -1:
                state = "diverged" if value is None else "failed"
                runs.append(failed_run(name, base, seed, state))
            else:
                runs.append(measured_run(name, base, seed, {"fd": value}))
    floors = {} if floor is None else {"fd": floor}
    return Evidence(QUICK, {"sweep": comparison(runs, floors)}, {})


@pytest.mark.parametrize("floor", [0.4, None])
def test_every_run_and_the_floor_are_in_sight_at_one_scale(floor):
    found = sweep(
        {"diffusion": [30.0, 21.0], "r3gan": [12.5, 26.0], "dcgan": [130.0, None, -1]}, floor
    )
    (chart,) = stability.figures(found)
    axes = chart.draw(PAGE).axes
    assert len({axis.get_ylim() for axis in axes}) == 1
    heights = [float(y) for axis in axes for line in axis.lines for y in line.get_ydata()]
    assert len(heights) == 6 + (0 if floor is None else 3 * 2)  # a line has two ends
    low, high = axes[0].get_ylim()
    assert low * 1.2 < min(heights) and max(heights) < high / 1.2
    if floor is not None:
        assert min(heights) == floor


def test_what_was_lost_to_something_else_counts_neither_way():
    found = sweep({"diffusion": [30.0, -1], "dcgan": [-1, -1], "r3gan": [None, 26.0, -1]}, None)
    rows = {row[0]: row[1] for row in stability.tables(found)[0].rows}
    assert rows["diffusion"].startswith("0 of 1: 0%") and rows["dcgan"] == "-"
    assert rows["r3gan"].startswith("1 of 2: 50%")


def test_names_of_classes_are_no_formulas():
    shares = TailShares(
        method="dcgan",
        budget="images",
        seed=0,
        share=0.5,
        real_share=1.0,
        rare=("a^b$",),
        classes=("$5_$9", "a^b$"),
        wanted=(0.9, 0.1),
        made=(0.5, 0.5),
        kl=ends(0.1),
        floor_kl=0.01,
        n=10,
    )
    (chart,) = coverage.figures(Evidence(QUICK, {}, {"tail/a": shares}))
    assert chart.png()[:4] == b"\x89PNG" and "$5_$9" in chart.svg
