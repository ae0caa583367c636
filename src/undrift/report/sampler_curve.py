"""Quality of many samplers against their cost: a `CurveResult` as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from undrift.report.figure import COLOURS, Chart, Tones, dashed, plain_ticks
from undrift.results.curve import CurvePoint, CurveResult

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_ASIDE = 1.01
"""How far the points of neighbouring samplers are set apart, so that their intervals are seen."""

_LABEL_GAP = 11.0  # points between the baselines of two labels


def curve_chart(curve: CurveResult) -> Chart:
    """Quality against cost: a row of panels per metric."""
    words = f"Quality against cost of the samplers {', '.join(curve.samplers)}"
    return Chart("samplers", words, lambda tones: _figure(curve, tones))


_Name = tuple[float, float, str, str]
"""Where a line begins, its sampler, and its colour."""


def _figure(curve: CurveResult, tones: Tones) -> Figure:
    """A row of panels per metric: against evaluations, and against seconds."""
    metrics = curve.metrics
    height = max(3.5, 1.2 + 0.17 * len(curve.samplers))  # inches; room for every name
    figure = Figure(figsize=(10.4, height * len(metrics)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr]
    figure.patch.set_alpha(0)
    named: list[tuple[Axes, list[_Name]]] = []
    for row, metric in enumerate(metrics):
        last = row == len(metrics) - 1
        left = figure.add_subplot(len(metrics), 2, 2 * row + 1)
        right = figure.add_subplot(len(metrics), 2, 2 * row + 2, sharey=left)
        for axis, cost in ((left, "nfe"), (right, "seconds")):
            axis.patch.set_alpha(0)
            names = _panel(axis, curve, metric, cost, tones)
            named += [(axis, names)] if cost == "nfe" else []
        left.set_title(f"{curve.titles[metric]}, {curve.better[metric]} is better")
        right.tick_params(labelleft=False)
        if last:
            left.set_xlabel("network evaluations per image (NFE)")
            right.set_xlabel("seconds per image")
    figure.draw_without_rendering()  # where things are is known once they are laid out
    for axis, names in named:
        _label(axis, names)
    return figure


def _panel(axis: Axes, curve: CurveResult, metric: str, cost: str, tones: Tones) -> list[_Name]:
    """One metric against one cost, with intervals; return the labels of the lines."""
    labels: list[_Name] = []
    for place, sampler in enumerate(curve.samplers):
        points = [
            point for point in curve.points if point.sampler == sampler and metric in point.metrics
        ]
        if not points:
            continue
        points.sort(key=lambda point: point.nfe)
        colour = COLOURS[place % len(COLOURS)]
        costs = [_cost(curve, point, cost) for point in points]
        measured = [point.metrics[metric] for point in points]
        values = [one.value for one in measured]
        ends = [
            (one.value if one.low is None else one.low, one.value if one.high is None else one.high)
            for one in measured
        ]
        axis.vlines(
            costs, [e[0] for e in ends], [e[1] for e in ends], color=colour, alpha=0.4, linewidth=3
        )
        axis.plot(
            costs,
            values,
            color=colour,
            linestyle=_DASHES[place // len(COLOURS) % len(_DASHES)],
            marker=_MARKERS[(place + place // len(COLOURS)) % len(_MARKERS)],
            markersize=4.2,
            linewidth=1.4,
        )
        labels.append((costs[0], values[0], sampler, colour))
    for point in _best(curve, metric, cost):
        axis.plot(
            [_cost(curve, point, cost)],
            [point.metrics[metric].value],
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=tones["muted"],
            markeredgewidth=1.2,
            linestyle="none",
        )
    floor = curve.floors.get(metric)
    dashed(axis, floor, tones)
    _scale(axis, curve, metric, cost)
    if floor is not None and cost == "nfe":
        axis.annotate(
            "real images",
            (0.01, floor),
            xycoords=axis.get_yaxis_transform(),
            xytext=(0, 3.5),
            textcoords="offset points",
            color=tones["muted"],
            fontsize=8.5,
        )
    return labels


def _scale(axis: Axes, curve: CurveResult, metric: str, cost: str) -> None:
    points = [c.metrics[metric] for c in curve.points if metric in c.metrics]
    costs = [_amount(point, cost) for point in curve.points]
    ends = [point.value if point.low is None else point.low for point in points]
    floor = curve.floors.get(metric)
    lowest = min(ends if floor is None else [*ends, floor])  # which may be below 0, without bias
    highest = max(point.value for point in points)
    if curve.better[metric] == "lower" and lowest > 0 and highest > 4 * lowest:
        axis.set_yscale("log")
        plain_ticks(axis.yaxis, wide=highest > 30 * lowest)
    axis.set_xscale("log")
    plain_ticks(axis.xaxis)
    if cost == "nfe":
        axis.xaxis.set_major_locator(FixedLocator(sorted(set(costs))))
        axis.set_xlim(min(costs) / 1.9, max(costs) * 1.08)  # room for the names on the left
    else:
        axis.set_xlim(min(costs) / 1.15, max(costs) * 1.15)


def _label(axis: Axes, labels: Sequence[_Name]) -> None:
    """Write each name beside the beginning of its line, moved apart where they would touch."""
    to_points = 72 / axis.figure.dpi
    heights = [axis.transData.transform((x, y))[1] * to_points for x, y, *_ in labels]
    order = sorted(range(len(labels)), key=lambda k: heights[k])
    placed: dict[int, float] = {}
    below = -float("inf")
    for k in order:
        placed[k] = below = max(heights[k], below + _LABEL_GAP)
    above = axis.get_window_extent().y1 * to_points
    for k in reversed(order):  # what has been pushed out at the top comes down again
        placed[k] = min(placed[k], above)
        above = placed[k] - _LABEL_GAP
    leftmost = min((x for x, *_ in labels), default=1.0)
    for k, (_, y, name, colour) in enumerate(labels):
        note = axis.annotate(
            name,
            (leftmost, y),
            xytext=(-8, placed[k] - heights[k]),
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour,
            fontsize=9,
            fontweight="bold",
            annotation_clip=False,
        )
        note.set_in_layout(False)


def _best(curve: CurveResult, metric: str, cost: str) -> list[CurvePoint]:
    """The points to mark: the best within each budget, or of each length of time."""
    points = [point for point in curve.points if metric in point.metrics]
    sign = 1 if curve.better[metric] == "lower" else -1
    kept: list[CurvePoint] = []
    for point in sorted(points, key=lambda c: (_amount(c, cost), sign * c.metrics[metric].value)):
        value = sign * point.metrics[metric].value
        if not kept or value < sign * kept[-1].metrics[metric].value:
            kept.append(point)
    return kept


def _cost(curve: CurveResult, point: CurvePoint, cost: str) -> float:
    """Position of a point; points of equal evaluations are set a little apart."""
    if cost != "nfe":
        return point.seconds
    names = curve.samplers
    return point.nfe * _ASIDE ** (names.index(point.sampler) - (len(names) - 1) / 2)


def _amount(point: CurvePoint, cost: str) -> float:
    return point.nfe if cost == "nfe" else point.seconds
