"""``data.json`` for people: what was found, what was set aside, how pixel values are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from undrift.files.document import Document
from undrift.report.figure import FIRST, GOOD, MUTED, SECOND, drawing, panels, to_svg
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
        histogram: plot of the pixel values, or None.
    """

    rows: list[Row]
    remarks: list[tuple[str, str]]
    classes: list[Bar]
    aside: list[Row]
    aside_title: str
    rest: list[Row]
    histogram: Markup | None

    @classmethod
    def of(cls, data: Document) -> DataSummary:
        """Summarise the content of ``data.json``; empty where it is."""
        aside = [
            (str(entry.get("name", entry.get("file", "?"))), str(entry.get("reason", "")))
            for entry in data.items("set_aside")
            if isinstance(entry, Mapping)
        ]
        remarks = [("note", str(line)) for line in data.items("notes")]
        remarks += [("warning", str(line)) for line in data.items("warnings")]
        return cls(
            rows=_facts(data),
            remarks=remarks,
            classes=count_bars(data.part("classes")),
            aside=_cut(aside),
            aside_title=f"Set aside and never trained on: {len(aside)}",
            rest=flat_rows(
                {name: entry for name, entry in data.entries.items() if name not in _LONG}
            ),
            histogram=_histogram(data),
        )


def count_bars(counts: Document) -> list[Bar]:
    """One bar per entry of ``counts``, the first ones if there are many."""
    known = {name: counts.whole(name) or 0 for name in counts.entries}
    largest = max(known.values(), default=1) or 1
    bars = [Bar(name, n / largest, f"{n:,}") for name, n in known.items()]
    if len(bars) > _MOST_ROWS:
        left = len(bars) - _MOST_ROWS
        return [*bars[:_MOST_ROWS], Bar(f"and {left} more", 0.0, "")]
    return bars


def image_kind(data: Document) -> str:
    """``8 x 8 grey``-style words, or nothing."""
    size, channels = data.numbers("size"), data.whole("channels")
    if not size or channels not in _CHANNELS:
        return ""
    words = {1: "grey", 2: "grey", 3: "colour", 4: "RGBA"}[channels]
    return f"{size[1]} × {size[0]} {words}"


def _facts(data: Document) -> list[Row]:
    rows: list[Row] = []
    if "source" in data:
        kind = f" ({data.text('kind')})" if data.text("kind") else ""
        rows.append(("source", f"{data.text('source')}{kind}"))
    if (count := data.whole("count")) is not None:
        rows.append(("images", f"{count:,}"))
    if splits := _counts(data, "splits"):
        rows.append(("splits", ", ".join(f"{name} {n:,}" for name, n in splits)))
    if kind := image_kind(data):
        rows.append(("trained on as", kind))
    if sizes := _counts(data, "sizes"):
        shown = [f"{size} ({n:,})" for size, n in sizes[:6]]
        more = f" and {len(sizes) - 6} more" if len(sizes) > 6 else ""
        rows.append(("sizes found", ", ".join(shown) + more))
    if modes := _counts(data, "modes"):
        rows.append(("pixels found", ", ".join(f"{mode} ({n:,})" for mode, n in modes)))
    if "value_levels" in data:
        rows.append(("distinct levels", str(data.whole("value_levels"))))
    if "mean" in data and "std" in data:
        mean, std = (
            ", ".join(f"{value:.1f}" for value in data.numbers(name) or [])
            for name in ("mean", "std")
        )
        rows.append(("mean; deviation", f"{mean}; {std} (of 0-255)"))
    ranges = [(str(name), data.numbers("numeric", str(name))) for name in data.items("numbers")]
    if given := [f"{name} from {ends[0]:g} to {ends[1]:g}" for name, ends in ranges if ends]:
        rows.append(("numbers", ", ".join(given)))
    if data.value("duplicates"):
        extra = data.whole("duplicates", "extra") or 0
        rows.append(("duplicates", f"{plural(extra, 'copy')} of other images"))
    if (ignored := data.whole("ignored")) is not None:
        kinds = [f"{n:,} {kind}" for kind, n in _counts(data, "ignored_kinds")]
        listed = f" ({', '.join(kinds)})" if kinds else ""
        rows.append(("files ignored", f"{ignored:,}{listed}"))
    if fingerprint := data.text("fingerprint"):
        rows.append(("fingerprint", fingerprint[:16]))
    return rows


def _counts(data: Document, name: str) -> list[tuple[str, int]]:
    """The entries of an object of counts."""
    return [(one, data.whole(name, one) or 0) for one in data.part(name).entries]


def _histogram(data: Document) -> Markup | None:
    rows = [row for row in data.items("histogram") if isinstance(row, Sequence)]
    if not rows or any(len(row) != 256 for row in rows):
        return None
    counts = np.array([list(row) for row in rows], dtype=np.float64)
    if not counts.any():
        return None
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
