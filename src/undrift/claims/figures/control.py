"""Control: label accuracy along the dials, and hidden halves filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from undrift.claims.figures.exhibit import (
    FAINT,
    THIN,
    Exhibit,
    Table,
    Tones,
    colour_of,
    ends_of,
    methods_of,
    row_of,
)
from undrift.claims.pieces import recorded
from undrift.metrics.bounded import ANY, POSITIVE, Range
from undrift.metrics.seeds import over_seeds
from undrift.report.figure import plain_ticks
from undrift.report.pictures import Picture, strip
from undrift.wording import plural

Record = dict[str, Any]


def figures(pieces: Mapping[str, Record]) -> list[Exhibit]:
    """Label accuracy against the dials, and against the distance that they cost."""
    dials = [record for record in recorded(pieces, "dial") if _labelled(record)]
    if not dials:
        return []
    caption = (
        "Share of samples that a classifier takes for the class that was asked for, against the "
        "Frechet distance, along guidance (diffusion) and truncation (GAN). A line is a run, its "
        "ring where the dial is off. Up and to the left is better."
    )
    return [Exhibit("control-dials", caption, lambda tones: _dials(dials, tones))]


def _labelled(record: Record) -> bool:
    return any("label_accuracy" in point for point in record["points"])


def _dials(records: Sequence[Record], tones: Tones) -> Figure:
    figure, (axis,) = row_of(1, width=6.4, height=3.5)
    for method in methods_of([record["method"] for record in records]):
        for number, record in enumerate(r for r in records if r["method"] == method):
            x = [point["fd"]["value"] for point in record["points"]]
            y = [point["label_accuracy"]["value"] for point in record["points"]]
            label = method if not number else None
            colour = colour_of(method)
            axis.plot(x, y, color=colour, linewidth=THIN, alpha=FAINT + 0.2, label=label)
            axis.plot(x[:1], y[:1], "o", color=colour, markerfacecolor="none", markersize=5)
    axis.set_xscale("log")
    plain_ticks(axis.xaxis)
    axis.set_xlabel("Frechet distance")
    axis.set_ylabel("label accuracy")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    return figure


def pictures(pieces: Mapping[str, Record]) -> list[tuple[str, Picture]]:
    """Held-out images, their visible halves, and what each method made of them; the first seed."""
    records = sorted(recorded(pieces, "filling"), key=lambda record: record["seed"])
    if not records:
        return []
    first = records[0]
    rows = [("held-out images", first["originals"]), ("what is shown", first["visible"])]
    rows += [(method, found["images"]) for method, found in first["methods"].items()]
    return [
        (name, strip(np.asarray(images, np.uint8), f"{name}, hidden halves", tile=44))
        for name, images in rows
    ]


def table(pieces: Mapping[str, Record]) -> Table | None:
    """Fidelity, variety and cost of filling in, means over seeds."""
    records = recorded(pieces, "filling")
    if not records:
        return None
    rows = []
    for method in methods_of([name for record in records for name in record["methods"]]):
        mine = {r["seed"]: r["methods"][method] for r in records if method in r["methods"]}
        rows.append(
            [
                method,
                *(
                    ends_of(
                        _mean({seed: _number(entry[name]) for seed, entry in mine.items()}, within)
                    )
                    for name, within in _RANGES.items()
                ),
                _seconds(mine.values()),
                f"{len(mine)}",
            ]
        )
    return Table(
        (
            "method",
            "dB of the mean of four fills",
            "dB of one fill",
            "calibration",
            "difference of fills, levels",
            "seconds per fill",
            "seeds",
        ),
        rows,
        f"{plural(records[0]['count'], 'held-out image')} of each seed, lower half hidden; "
        "the GANs are "
        "inverted for the time that diffusion takes to sample. Calibration: squared difference of "
        "two fills over squared error, 1 where fills are drawn from what could be there. Known "
        "pixels are put back in all.",
    )


def _seconds(entries: Iterable[Record]) -> str:
    """The time of a fill, which is set and not found: without an interval."""
    return f"{fmean(entry['seconds_per_fill'] for entry in entries):.3g}"


def _number(entry: Any) -> float | None:  # noqa: ANN401 - an interval, a number or nothing
    return entry["value"] if isinstance(entry, dict) else entry


_RANGES = {"psnr_of_mean": ANY, "psnr": ANY, "calibration": POSITIVE, "diversity": POSITIVE}
"""What the columns of numbers can be; decibels can be anything."""


def _mean(values: Mapping[int, float | None], within: Range) -> dict[str, float | None] | None:
    known = {seed: value for seed, value in values.items() if value is not None}
    found = over_seeds(known, within)
    return None if found is None else vars(found)
