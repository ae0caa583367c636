"""Figures of a comparison: every seed as a dot or a thin line, so that nothing hides in a mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from undrift.report.figure import (
    COLOURS,
    FIRST,
    SECOND,
    THIN,
    Chart,
    Tones,
    dashed,
    images_axis,
    panels,
)
from undrift.report.history import History
from undrift.report.metric_table import SHARES, title_of
from undrift.results.comparison import BudgetResult, ComparisonResult
from undrift.wording import plural

_WIDTH = 4.6
"""Inches of a panel: on a page it fills a column, on a telephone the whole width."""

_FAINT = 0.75
"""Opacity of a line that is one of many."""

Histories = Mapping[str, Sequence[tuple[int, History]]]
"""Method -> seed and training history of each of its runs."""


def colour_of(methods: Sequence[str], method: str) -> str:
    """The colour that a method has in every figure."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


def metric_charts(found: ComparisonResult, table: BudgetResult) -> list[Chart]:
    """One chart per metric at a budget; none where nothing was measured."""

    def draw(metric: str, tones: Tones) -> Figure:
        figure, (axis,) = panels(1, width=_WIDTH, height=_height(found))
        _points(axis, found, table, metric, tones)
        return figure

    return [
        Chart(
            f"points-{table.kind}-{metric}",
            f"{title_of(metric)} of every run, at {table.words}",
            lambda tones, metric=metric: draw(metric, tones),
        )
        for metric in _measured(found, table)
    ]


def all_metrics(found: ComparisonResult, table: BudgetResult) -> Chart | None:
    """All metrics at a budget in one figure; None where nothing was measured."""
    names = _measured(found, table)
    columns = min(3, len(names))

    def draw(tones: Tones) -> Figure:
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(3.6 * columns, _height(found) * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr]
        for number, metric in enumerate(names):
            axis = figure.add_subplot(rows, columns, number + 1)
            _points(axis, found, table, metric, tones)
        return figure

    if not names:
        return None
    return Chart(f"compare-{table.kind}", f"Metrics of every run, at {table.words}", draw)


def _height(found: ComparisonResult) -> float:
    return 1.15 + 0.42 * len(found.methods)


def _measured(found: ComparisonResult, table: BudgetResult) -> list[str]:
    return [name for name in found.metrics if any(name in row.metrics for row in table.methods)]


def _points(
    axis: Axes, found: ComparisonResult, table: BudgetResult, metric: str, tones: Tones
) -> None:
    """A row per method: a dot per seed, the mean, and its interval as a line."""
    methods = [row.method for row in table.methods]
    for height, row in enumerate(table.methods):
        colour = colour_of(methods, row.method)
        mean = row.metrics.get(metric)
        if mean is None:
            continue
        values = list(mean.values.values())
        axis.plot(values, [height] * len(values), "o", color=colour, markersize=4, alpha=0.45)
        if mean.low is not None and mean.high is not None:
            axis.hlines(height, mean.low, mean.high, color=colour, linewidth=2.2)
        axis.plot([mean.value], [height], "|", color=tones["ink"], markersize=13, mew=1.8)
    dashed(axis, table.floors.get(metric), tones, upright=True)
    axis.set_yticks(range(len(methods)), methods)
    axis.tick_params(axis="y", labelcolor=tones["ink"])
    axis.set_ylim(len(methods) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.margins(x=0.08)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    if metric in SHARES:
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title(f"{title_of(metric)}, {found.better[metric]} is better")


def training_charts(methods: Sequence[str], kind: str, histories: Histories) -> list[Chart]:
    """Training curves at one budget, a chart per method, a thin line per seed.

    Args:
        methods: names, in order.
        kind: of the budget; makes the names of charts differ.
        histories: by method.
    """

    def draw(method: str, runs: Sequence[tuple[int, History]]) -> Figure:
        figure, (axis,) = panels(1, width=_WIDTH, height=2.7)
        if any("phases" in event for _, history in runs for event in history.train):
            axis.set_title(f"{method}: losses of both sides")
            for phase, colour in (("discriminator", FIRST), ("generator", SECOND)):
                _lines(axis, (_losses(history, phase) for _, history in runs), colour, phase)
        else:
            axis.set_title(f"{method}: validation error")
            validated = any(history.main for _, history in runs[:1])
            words = "held-out images, averaged weights" if validated else "training loss"
            _lines(axis, (_validations(history) for _, history in runs), FIRST, words)
        images_axis(axis)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best")
        return figure

    return [
        Chart(
            f"curves-{kind}-{method}",
            f"Training curves of {plural(len(runs), 'run')} of {method}",
            lambda _, method=method, runs=runs: draw(method, runs),
        )
        for method in methods
        for runs in [histories.get(method, ())]
        if any(len(history.series("loss")[0]) for _, history in runs)
    ]


def quality_chart(methods: Sequence[str], kind: str, histories: Histories) -> Chart | None:
    """Kernel distance while training, all methods on the same axes; None where none was measured.

    Args:
        methods: as `training_charts`.
        kind: as there.
        histories: as there.
    """
    curves = {
        method: [_distances(history) for _, history in runs] for method, runs in histories.items()
    }

    def draw(_: Tones) -> Figure:
        figure, (axis,) = panels(1, width=2 * _WIDTH, height=3.2)
        axis.set_title("Kernel distance of samples to the validation images, every seed")
        for method in methods:
            _lines(axis, iter(curves.get(method, ())), colour_of(methods, method), method)
        images_axis(axis)
        axis.legend(loc="upper right")
        return figure

    if not any(points for runs in curves.values() for points in runs):
        return None
    words = "Kernel distance over images seen, every seed"
    return Chart(f"quality-{kind}", words, draw)


Points = list[tuple[float, float]]
"""Images seen, and a number."""


def _lines(axis: Axes, runs: Iterator[Points], colour: str, label: str) -> None:
    """A thin line per run, of which the legend names the first."""
    for number, points in enumerate(runs):
        axis.plot(
            [seen for seen, _ in points],
            [value for _, value in points],
            color=colour,
            label=None if number else label,
            linewidth=THIN,
            alpha=_FAINT,
        )


def _distances(history: History) -> Points:
    """Samples that were not finite have no distance."""
    return [
        (one.images or 0, kid)
        for one in history.evaluations
        if (kid := one.number("kid")) is not None
    ]


def _losses(history: History, phase: str) -> Points:
    return [
        (event.images or 0, loss)
        for event in history.train
        if (loss := event.number("phases", phase, "loss")) is not None
    ]


def _validations(history: History) -> Points:
    """Validation error of the weights that samples are drawn with; without any, training loss."""
    if history.main:
        return [(one.images, one.loss) for one in history.main]
    return list(zip(*(part.tolist() for part in history.series("loss")), strict=True))
