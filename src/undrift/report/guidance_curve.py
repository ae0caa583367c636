"""Quality along the scale of guidance: a `GuidanceResult` as a chart."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.report.figure import COLOURS, Chart, Tones, dashed, panels
from undrift.results.curve import GuidanceResult


def guidance_chart(found: GuidanceResult) -> Chart:
    """One panel per metric against the scale, with intervals and the best scale."""

    def draw(tones: Tones) -> Figure:
        count = max(1, len(found.metrics))
        figure, axes = panels(count, width=1.6 + 3.2 * count, height=3.4)
        for place, (axis, metric) in enumerate(zip(axes, found.metrics, strict=False)):
            _panel(axis, found, metric, COLOURS[place % len(COLOURS)], tones)
        return figure

    return Chart("guidance", "Quality along the scale of guidance", draw)


def scale_lines(found: GuidanceResult) -> list[str]:
    """The best scale in each metric, those that may be as good, and whether it is the largest."""
    lines = []
    for name in found.metrics:
        best = found.best[name]
        line = f"best {found.titles[name]}: guidance {best.guidance:g}"
        open_ones = [one for one in best.differences if not one.settled]
        alike = ", ".join(f"{scale:g}" for scale in best.alike)
        if open_ones:
            apart = ", ".join(
                f"{one.guidance:g} ({one.low:.3g} to {one.high:.3g})" for one in open_ones
            )
            line += f"; image by image its difference may be 0 to {apart}"
        elif best.differences:
            line += "; image by image it differs from all others"
        elif alike:
            line += f"; the intervals of {alike} overlap with it"
        if best.guidance == max(point.guidance for point in found.points):
            line += "; it is the largest that was tried, a larger one may be better"
        lines.append(line)
    return lines


def _panel(axis: Axes, found: GuidanceResult, metric: str, colour: str, tones: Tones) -> None:
    points = [point for point in found.points if metric in point.metrics]
    scales = [point.guidance for point in points]
    values = [point.metrics[metric] for point in points]
    lows = [one.value if one.low is None else one.low for one in values]
    highs = [one.value if one.high is None else one.high for one in values]
    axis.vlines(scales, lows, highs, color=colour, alpha=0.4, linewidth=3)
    axis.plot(scales, [one.value for one in values], color=colour, marker="o", markersize=4.2)
    best = found.best[metric]
    ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": "none"}
    axis.plot([best.guidance], [best.value], markeredgecolor=tones["muted"], **ring)
    dashed(axis, found.floors.get(metric), tones)
    axis.set_title(f"{found.titles[metric]}, {found.better[metric]} is better", fontsize=9)
    axis.set_xlabel("guidance scale")
