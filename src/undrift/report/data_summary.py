"""``data.json`` for people: what was found, what was set aside, how the levels are spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from undrift.report.figure import FIRST, GOOD, MUTED, SECOND, drawing, panels, to_svg
from undrift.report.history import Record
from undrift.report.words import Row, flat_rows
from undrift.wording import plural

_CHANNELS = {1: "grey", 2: "grey and alpha", 3: "colour (RGB)", 4: "colour and alpha (RGBA)"}
_MOST_ROWS = 24
_LONG = ("histogram", "set_aside", "names")
"""What is shown in another way, or is too long to be."""


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart.

    Attributes:
        name: what is counted.
        share: length, in [0, 1] of the longest.
        amount: the figure beside it.
    """

    name: str
    share: float
    amount: str


@dataclass(frozen=True)
class DataSummary:
    """The data section of the report.

    Attributes:
        rows: facts.
        remarks: choices made from the data, and warnings.
        classes: images per class.
        aside: files set aside, with the reason.
        aside_title: how many, and what they are.
        rest: everything in the file, flat.
        histogram: plot of the value levels, or None.
    """

    rows: list[Row]
    remarks: list[tuple[str, str]]
    classes: list[Bar]
    aside: list[Row]
    aside_title: str
    rest: list[Row]
    histogram: Markup | None

    @classmethod
    def of(cls, data: Record) -> DataSummary:
        """Summarise the content of ``data.json``; empty where it is."""
        aside = [
            (str(entry.get("name", entry.get("file", "?"))), str(entry.get("reason", "")))
            for entry in data.get("set_aside", [])
        ]
        remarks = [("note", str(line)) for line in data.get("notes", [])]
        remarks += [("warning", str(line)) for line in data.get("warnings", [])]
        return cls(
            rows=_facts(data),
            remarks=remarks,
            classes=count_bars(data.get("classes", {})),
            aside=_cut(aside),
            aside_title=f"Set aside and never trained on: {len(aside)}",
            rest=flat_rows({name: entry for name, entry in data.items() if name not in _LONG}),
            histogram=_histogram(data),
        )


def count_bars(counts: Record) -> list[Bar]:
    """One bar per entry of ``counts``, the first ones if there are many."""
    largest = max(counts.values(), default=1) or 1
    bars = [Bar(str(name), n / largest, f"{n:,}") for name, n in counts.items()]
    if len(bars) > _MOST_ROWS:
        left = len(bars) - _MOST_ROWS
        return [*bars[:_MOST_ROWS], Bar(f"and {left} more", 0.0, "")]
    return bars


def image_kind(data: Record) -> str:
    """``8 x 8 grey``-style words, or nothing."""
    size, channels = data.get("size"), data.get("channels")
    if not size or channels not in _CHANNELS:
        return ""
    words = {1: "grey", 2: "grey", 3: "colour", 4: "RGBA"}[channels]
    return f"{size[1]} × {size[0]} {words}"


def _facts(data: Record) -> list[Row]:
    rows: list[Row] = []
    if "source" in data:
        kind = f" ({data['kind']})" if data.get("kind") else ""
        rows.append(("source", f"{data['source']}{kind}"))
    if "count" in data:
        rows.append(("images", f"{data['count']:,}"))
    if splits := data.get("splits"):
        rows.append(("splits", ", ".join(f"{name} {n:,}" for name, n in splits.items())))
    if kind := image_kind(data):
        rows.append(("trained on as", kind))
    if sizes := data.get("sizes"):
        shown = [f"{size} ({n:,})" for size, n in list(sizes.items())[:6]]
        more = f" and {len(sizes) - 6} more" if len(sizes) > 6 else ""
        rows.append(("sizes found", ", ".join(shown) + more))
    if modes := data.get("modes"):
        rows.append(("pixels found", ", ".join(f"{mode} ({n:,})" for mode, n in modes.items())))
    if "value_levels" in data:
        rows.append(("distinct levels", str(data["value_levels"])))
    if "mean" in data and "std" in data:
        mean = ", ".join(f"{value:.1f}" for value in data["mean"])
        std = ", ".join(f"{value:.1f}" for value in data["std"])
        rows.append(("mean; deviation", f"{mean}; {std} (of 0-255)"))
    ranges = data.get("numeric", {})
    if given := [name for name in data.get("numbers", []) if name in ranges]:
        shown = (f"{name} from {ranges[name][0]:g} to {ranges[name][1]:g}" for name in given)
        rows.append(("numbers", ", ".join(shown)))
    if duplicates := data.get("duplicates"):
        rows.append(("duplicates", f"{plural(duplicates.get('extra', 0), 'copy')} of other images"))
    if "ignored" in data:
        kinds = [f"{n:,} {kind}" for kind, n in data.get("ignored_kinds", {}).items()]
        listed = f" ({', '.join(kinds)})" if kinds else ""
        rows.append(("files ignored", f"{data['ignored']:,}{listed}"))
    if fingerprint := data.get("fingerprint"):
        rows.append(("fingerprint", str(fingerprint)[:16]))
    return rows


def _histogram(data: Record) -> Markup | None:
    rows = data.get("histogram", [])
    if not rows or any(len(row) != 256 for row in rows) or not np.any(rows):
        return None
    counts = np.array(rows, dtype=np.float64)
    colours = {1: [FIRST], 2: [FIRST, MUTED]}.get(len(counts), [SECOND, GOOD, FIRST, MUTED])
    names = {1: ["grey"], 2: ["grey", "alpha"]}.get(len(counts), ["red", "green", "blue", "alpha"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    occupied = np.flatnonzero(counts.sum(axis=0))
    with drawing():
        figure, (axis,) = panels(1, width=4.6, height=1.7)
        axis.set_title("How often each value occurs")
        for share, colour, name in zip(shares, colours, names, strict=False):
            if len(occupied) < 64:
                axis.bar(occupied, share[occupied], width=2.4, color=colour, alpha=0.8, label=name)
            else:
                axis.fill_between(np.arange(256), share, color=colour, alpha=0.16, linewidth=0)
                axis.plot(np.arange(256), share, color=colour, linewidth=1.3, label=name)
        # one value, such as a white background, must not flatten the rest
        usual = float(np.sort(shares[:, occupied].ravel())[-3:].min()) if len(occupied) > 8 else 0.0
        top = float(shares.max())
        limit = 1.6 * usual if usual and top > 3 * usual else 1.08 * top
        axis.set_ylim(0, limit)
        for value in np.flatnonzero(shares.max(axis=0) > limit):
            right = value > 127
            axis.annotate(
                f"{shares[:, value].max():.0%} are {value}, off the scale",
                (value, limit),
                xytext=(-6 if right else 6, -9),
                textcoords="offset points",
                ha="right" if right else "left",
                color=MUTED,
                fontsize=9,
            )
        axis.set_xlim(-2, 257)
        axis.set_xticks([0, 64, 128, 192, 255])
        axis.set_yticks([])
        if len(shares) > 1:
            axis.legend(loc="upper right", ncols=len(shares))
        return to_svg(figure, "values", "Histogram of pixel values")


def _cut(rows: list[Row]) -> list[Row]:
    if len(rows) <= _MOST_ROWS:
        return rows
    return [*rows[:_MOST_ROWS], (f"and {len(rows) - _MOST_ROWS} more", "see data.json")]
