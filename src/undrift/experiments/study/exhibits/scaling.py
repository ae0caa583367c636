"""Scaling: distance against parameters and against images seen, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from undrift.experiments.report.figure import short
from undrift.experiments.report.history import History
from undrift.experiments.study.evidence import sized
from undrift.experiments.study.exhibits.exhibit import (
    FAINT,
    THIN,
    Exhibit,
    Table,
    Tones,
    colour_of,
    row_of,
)

Record = dict[str, Any]


def figures(found: Record, histories: Mapping[str, History]) -> list[Exhibit]:
    """One figure of two panels."""
    caption = (
        "Left: Frechet distance of every run against its parameters; a thin line is a seed, a "
        "cross a run that failed. Right: the distance on the way, against real images seen, of the "
        "largest size of each family. The dashed line is what real images score."
    )
    return [Exhibit("scaling", caption, lambda tones: _draw(found, histories, tones))]


def _draw(found: Record, histories: Mapping[str, History], tones: Tones) -> Figure:
    figure, (left, right) = row_of(2, width=4.8, height=3.5)
    sizes = found["parameters"][found["ledgers"][0]["kind"]]
    named: set[str] = set()
    for (family, _, _), points in sized(found).items():
        points = sorted(points)
        left.plot(
            [size for size, _ in points],
            [value for _, value in points],
            "o-",
            color=colour_of(family),
            linewidth=THIN,
            markersize=3.5,
            alpha=FAINT + 0.2,
            label=None if family in named else family,
        )
        named.add(family)
    top = left.get_ylim()[1]
    for run in found["runs"]:
        if run["state"] != "done":
            family = run["method"].rsplit("-", 1)[0]
            left.plot(
                [sizes[run["method"]]["generator"]], [top], "x", color=colour_of(family), mew=1.8
            )
    largest = {
        family: max(
            (name for name in sizes if name.rsplit("-", 1)[0] == family),
            key=lambda name: sizes[name]["generator"],
        )
        for family in {name.rsplit("-", 1)[0] for name in sizes}
    }
    for run in found["runs"]:
        family = run["method"].rsplit("-", 1)[0]
        history = histories.get(run["name"])
        if history is None or run["method"] != largest[family]:
            continue
        looks = [look for look in history.looks if look.get("fd") is not None]
        if not looks:
            continue
        right.plot(
            [look["images"] for look in looks],
            [look["fd"] for look in looks],
            color=colour_of(family),
            linewidth=THIN,
            alpha=FAINT + 0.2,
        )
    floor = found["ledgers"][0]["floors"].get("fd")
    for axis, words in ((left, "parameters that draw"), (right, "real images seen")):
        axis.set_xlabel(words)
        if axis.lines:  # an empty axis has no logarithm
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.xaxis.set_major_formatter(lambda value, _: short(value))
    if floor:
        left.axhline(floor, color=tones["reference"], linestyle=(0, (4, 3)), linewidth=1.2)
    left.set_ylabel("Frechet distance")
    right.set_ylabel("Frechet distance of looks")
    left.legend(loc="best")
    return figure


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
        "the parameters; each seed has a slope.",
    )
