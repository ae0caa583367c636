"""Figures of a comparison: every seed as a dot or a thin line, so that nothing hides in a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from undrift.report.figure import (
    FIRST,
    INK,
    MUTED,
    REFERENCE,
    SECOND,
    drawing,
    images_axis,
    panels,
    to_svg,
)
from undrift.report.history import History
from undrift.report.metric_table import SHARES, title_of
from undrift.report.sampler_curve import COLOURS, GREYS, printed
from undrift.wording import plural

Record = dict[str, Any]

_WIDTH = 4.6
"""Inches of a panel: on a page it fills a column, on a telephone the whole width."""

_THIN, _FAINT = 0.9, 0.75
"""Width and strength of a line that is one of many."""

_PAGE = {"ink": INK, "muted": MUTED, "reference": REFERENCE}
_PRINT = {"ink": "#000000", "muted": GREYS["muted"], "reference": GREYS["reference"]}


def colour_of(methods: Sequence[str], method: str) -> str:
    """The colour that a method has in every figure."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


def point_panels(found: Record, place: int) -> list[Markup]:
    """One figure per metric of the ledger at ``place``; none where nothing was measured."""
    table, made = found["ledgers"][place], []
    for metric in _measured(found, table):
        with drawing():
            figure, (axis,) = panels(1, width=_WIDTH, height=_height(found))
            _points(axis, found, table, metric, _PAGE)
            words = f"{title_of(metric)} of every run, at {table['words']}"
            made.append(to_svg(figure, f"points-{table['kind']}-{metric}", words))
    return made


def print_points(found: Record, place: int) -> Figure | None:
    """All metrics of a ledger on white, for print; None where nothing was measured."""
    table = found["ledgers"][place]
    names = _measured(found, table)
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with drawing(), printed():
        figure = Figure(figsize=(3.6 * columns, _height(found) * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr]
        for number, metric in enumerate(names):
            axis = figure.add_subplot(rows, columns, number + 1)
            _points(axis, found, table, metric, _PRINT)
        figure.patch.set(facecolor="white", alpha=1)
        figure.draw_without_rendering()  # the layout, while the style holds
        return figure


def _height(found: Record) -> float:
    return 1.15 + 0.42 * len(found["methods"])


def _measured(found: Record, table: Record) -> list[str]:
    return [
        name for name in found["metrics"] if any(name in row["metrics"] for row in table["methods"])
    ]


def _points(
    axis: Axes, found: Record, table: Record, metric: str, tones: Mapping[str, str]
) -> None:
    """A row per method: a dot per seed, the mean, and its interval as a line."""
    methods = [row["method"] for row in table["methods"]]
    for height, row in enumerate(table["methods"]):
        colour = colour_of(methods, row["method"])
        entry = row["metrics"].get(metric)
        if entry is None:
            continue
        values = list(entry["values"].values())
        axis.plot(values, [height] * len(values), "o", color=colour, markersize=4, alpha=0.45)
        if entry["low"] is not None:
            axis.hlines(height, entry["low"], entry["high"], color=colour, linewidth=2.2)
        axis.plot([entry["value"]], [height], "|", color=tones["ink"], markersize=13, mew=1.8)
    floor = table["floors"].get(metric)
    if floor is not None:
        axis.axvline(floor, color=tones["reference"], linestyle=(0, (4, 3)), linewidth=1.3)
    axis.set_yticks(range(len(methods)), methods)
    axis.tick_params(axis="y", labelcolor=tones["ink"])
    axis.set_ylim(len(methods) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.margins(x=0.08)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    if metric in SHARES:
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title(f"{title_of(metric)}, {found['better'][metric]} is better")


def curve_panels(
    methods: Sequence[str], kind: str, histories: Mapping[str, Sequence[tuple[int, History]]]
) -> list[tuple[str, Markup]]:
    """Training curves of one ledger, a figure per method, a thin line per seed.

    Args:
        methods: names, in order.
        kind: of the ledger; makes the figures' identifiers differ.
        histories: method -> seed and history of each of its runs.
    """
    made = []
    for method in methods:
        runs = histories.get(method, ())
        if not any(len(history.series("loss")[0]) for _, history in runs):
            continue
        game = any("phases" in event for _, history in runs for event in history.train)
        with drawing():
            figure, (axis,) = panels(1, width=_WIDTH, height=2.7)
            if game:
                axis.set_title(f"{method}: losses of both sides")
                _lines(axis, runs, "discriminator", FIRST)
                _lines(axis, runs, "generator", SECOND)
            else:
                axis.set_title(f"{method}: validation error")
                _validations(axis, runs)
            images_axis(axis)
            if axis.get_legend_handles_labels()[0]:
                axis.legend(loc="best")
            words = f"Training curves of {plural(len(runs), 'run')} of {method}"
            made.append((method, to_svg(figure, f"curves-{kind}-{method}", words)))
    return made


def quality_panel(
    methods: Sequence[str], kind: str, histories: Mapping[str, Sequence[tuple[int, History]]]
) -> Markup | None:
    """Kernel distance while training, all methods on the same axes; None where none was taken."""
    looks = {method: [_kids(history) for _, history in runs] for method, runs in histories.items()}
    if not any(kids for runs in looks.values() for kids in runs):
        return None
    with drawing():
        figure, (axis,) = panels(1, width=2 * _WIDTH, height=3.2)
        axis.set_title("Kernel distance of samples to the validation images, every seed")
        for method in methods:
            for number, run in enumerate(looks.get(method, ())):
                axis.plot(
                    [seen for seen, _ in run],
                    [kid for _, kid in run],
                    color=colour_of(methods, method),
                    label=method if number == 0 else None,
                    linewidth=_THIN,
                    alpha=_FAINT,
                )
        images_axis(axis)
        axis.legend(loc="upper right")
        return to_svg(figure, f"quality-{kind}", "Kernel distance over images seen, every seed")


def _kids(history: History) -> list[tuple[float, float]]:
    """Images seen and kernel distance; samples that were not finite have none."""
    known = [look for look in history.evaluations if look.get("kid") is not None]
    return [(look["images"], look["kid"]) for look in known]


def _lines(axis: Axes, runs: Sequence[tuple[int, History]], phase: str, colour: str) -> None:
    for number, (_, history) in enumerate(runs):
        known = [
            (event["images"], event["phases"][phase]["loss"])
            for event in history.train
            if event.get("phases", {}).get(phase, {}).get("loss") is not None
        ]
        axis.plot(
            [seen for seen, _ in known],
            [loss for _, loss in known],
            color=colour,
            label=phase if not number else None,
            linewidth=_THIN,
            alpha=_FAINT,
        )


def _validations(axis: Axes, runs: Sequence[tuple[int, History]]) -> None:
    """Validation error of the weights that samples are drawn with; without any, training loss."""
    for number, (_, history) in enumerate(runs):
        if history.main:
            seen = [look.images for look in history.main]
            losses = [look.loss for look in history.main]
            words = "held-out images, averaged weights"
        else:
            seen, losses = (list(part) for part in history.series("loss"))
            words = "training loss"
        axis.plot(
            seen,
            losses,
            color=FIRST,
            label=words if not number else None,
            linewidth=_THIN,
            alpha=_FAINT,
        )
