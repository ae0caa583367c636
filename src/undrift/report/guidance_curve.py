"""Quality along the scale of guidance: a `GuidanceResult` as a figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.report.figure import drawing
from undrift.report.sampler_curve import COLOURS, GREYS, printed
from undrift.results.curve import GuidanceResult


def guidance_figure(found: GuidanceResult) -> Figure:
    """One panel per metric against the scale, on white, with intervals and the best scale."""
    with drawing(), printed():
        count = max(1, len(found.metrics))
        figure = Figure(figsize=(1.6 + 3.2 * count, 3.4), layout="constrained")
        figure.patch.set(facecolor="white", alpha=1)
        for place, metric in enumerate(found.metrics):
            axis = figure.add_subplot(1, count, place + 1)
            _panel(axis, found, metric, COLOURS[place % len(COLOURS)])
        figure.draw_without_rendering()  # the layout, while the style holds
        return figure


def _panel(axis: Axes, found: GuidanceResult, metric: str, colour: str) -> None:
    cells = [cell for cell in found.cells if metric in cell.metrics]
    scales = [cell.guidance for cell in cells]
    points = [cell.metrics[metric] for cell in cells]
    lows = [point.value if point.low is None else point.low for point in points]
    highs = [point.value if point.high is None else point.high for point in points]
    axis.vlines(scales, lows, highs, color=colour, alpha=0.4, linewidth=3)
    axis.plot(scales, [point.value for point in points], color=colour, marker="o", markersize=4.2)
    best, floor = found.best[metric], found.floors.get(metric)
    ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": "none"}
    axis.plot([best.guidance], [best.value], markeredgecolor=GREYS["muted"], **ring)
    if floor is not None:
        axis.axhline(floor, color=GREYS["reference"], linestyle=(0, (4, 3)), linewidth=1.3)
    axis.set_title(f"{found.titles[metric]}, {found.better[metric]} is better", fontsize=9)
    axis.set_xlabel("guidance scale")
