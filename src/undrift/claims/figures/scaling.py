"""Scaling: distance against parameters and against images seen, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.claims.evidence import Points, seen, sized
from undrift.claims.figures.exhibit import (
    FAINT,
    THIN,
    Exhibit,
    Table,
    Tones,
    colour_of,
    row_of,
)
from undrift.claims.tables import SCALING, SEEN
from undrift.report.figure import plain_ticks

Record = dict[str, Any]


def figures(tables: Mapping[str, Record]) -> list[Exhibit]:
    """One figure of two panels."""
    caption = (
        "Frechet distance of every run against its parameters, and, for the middle size of each "
        "family, against the real images it saw; a thin line is a seed, a cross a run that failed. "
        "The dashed line is what real images score."
    )
    return [Exhibit("scaling", caption, lambda tones: _draw(tables, tones))]


def _draw(tables: Mapping[str, Record], tones: Tones) -> Figure:
    figure, (left, right) = row_of(2, width=4.8, height=3.5)
    found = tables[SCALING]
    sizes = found["parameters"][found["ledgers"][0]["kind"]]
    lost = [
        (sizes[run["method"]]["generator"], run) for run in found["runs"] if run["state"] != "done"
    ]
    _panel(left, "parameters that draw", sized(tables), lost)
    lost = [
        (float(tables[name]["ledgers"][0]["amount"]), run)
        for name in SEEN
        if name in tables
        for run in tables[name]["runs"]
        if run["state"] != "done"
    ]
    _panel(right, "real images seen", seen(tables), lost)
    if floor := found["ledgers"][0]["floors"].get("fd"):
        for axis in (left, right):
            axis.axhline(floor, color=tones["reference"], linestyle=(0, (4, 3)), linewidth=1.2)
    left.set_ylabel("Frechet distance")
    if sized(tables):
        left.legend(loc="best")
    return figure


def _panel(axis: Axes, words: str, known: Points, lost: Sequence[tuple[float, Record]]) -> None:
    """Lines of ``known`` runs, and crosses on top for those that are ``lost``."""
    named: set[str] = set()
    for (family, _, _), points in known.items():
        axis.plot(
            *zip(*sorted(points), strict=True),
            "o-",
            color=colour_of(family),
            linewidth=THIN,
            markersize=3.5,
            alpha=FAINT + 0.2,
            label=None if family in named else family,
        )
        named.add(family)
    top = axis.get_ylim()[1]
    for x, run in lost:
        axis.plot([x], [top], "x", color=colour_of(run["method"].rsplit("-", 1)[0]), mew=1.8)
    axis.set_xlabel(words)
    if axis.lines:  # an empty axis has no logarithm
        axis.set_xscale("log")
        axis.set_yscale("log")
        for side in (axis.xaxis, axis.yaxis):
            plain_ticks(side)


def table(parts: list[Record]) -> Table:
    """The contrasts of slopes."""
    return Table(
        ("fall per doubling, difference", "value", "95 % interval", "verdict"),
        [
            [
                part["name"],
                "-" if part["value"] is None else f"{part['value']:+.3f}",
                "-" if part["low"] is None else f"{part['low']:+.3f} to {part['high']:+.3f}",
                part["verdict"],
            ]
            for part in parts
        ],
        "The fall of the logarithm of the distance above real images' own, with every doubling of "
        "the parameters, or of the real images seen; each seed has a slope.",
    )
