"""Charts as inline SVG that follow the page, and as PNG for print.

On a page they have its fonts, and its colours in light and in dark: matplotlib draws with stand-in
colours, each of which is replaced by a CSS variable of the page. For print a chart is drawn again
in tones for white paper.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from undrift.files.ownership import SOFTWARE

INK, MUTED, RULE = "#010101", "#020202", "#030303"
FIRST, SECOND, REFERENCE, GOOD = "#040404", "#050505", "#060606", "#070707"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    REFERENCE: "var(--reference)",
    GOOD: "var(--good)",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c8c8c")
"""Okabe and Ito's, distinct to readers of any colour vision; yellow is too faint on white."""

Tones = Mapping[str, str]
"""Colours of what is no data: ink, muted, reference and rule."""

PAGE: Tones = {"ink": INK, "muted": MUTED, "reference": REFERENCE, "rule": RULE}
PRINT: Tones = {"ink": "#000000", "muted": "#555a61", "reference": "#7d838c", "rule": "#e2e2e2"}

THIN = 0.9
"""Width of a line that is one of many."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "undrift",
    "text.parse_math": False,  # a class may be called $5
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.9,
    "lines.solid_capstyle": "round",
    "text.color": INK,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw inside with the page's style; matplotlib's own settings are untouched outside."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # the page has fonts for names in any script; print shows a box for what ours lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextmanager
def printed() -> Iterator[None]:
    """Draw inside in tones for white paper, whatever the page's theme."""
    rule, muted = PRINT["rule"], PRINT["muted"]
    style = {"axes.edgecolor": muted, "grid.color": rule, "xtick.color": muted}
    style |= {"ytick.color": muted, "axes.labelcolor": muted, "xtick.labelcolor": muted}
    with drawing(), matplotlib.rc_context({**style, "ytick.labelcolor": muted}):  # type: ignore[arg-type]
        yield


@dataclass(frozen=True)
class Chart:
    """A figure for a page and for print.

    Attributes:
        name: unique on the page, and the name of its file.
        caption: what it shows, in a sentence or two.
        draw: draws it in given tones.
    """

    name: str
    caption: str
    draw: Callable[[Tones], Figure]

    @property
    def svg(self) -> Markup:
        """For the page."""
        with drawing():
            return to_svg(self.draw(PAGE), self.name, self.caption)

    def png(self, dpi: int = 200) -> bytes:
        """For print, on white."""
        buffer = io.BytesIO()
        with printed():
            figure = self.draw(PRINT)
            figure.patch.set(facecolor="white", alpha=1)
            mark_lone_points(figure)
            figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": SOFTWARE})
        return buffer.getvalue()


def dashed(axis: Axes, value: float | None, tones: Tones, *, upright: bool = False) -> None:
    """A dashed line across the axes at ``value``, such as what real images score; None is none."""
    if value is not None:
        line = axis.axvline if upright else axis.axhline
        line(value, color=tones["reference"], linestyle=(0, (4, 3)), linewidth=1.3)


def panels(
    columns: int, *, width: float = 10.4, height: float = 3.0
) -> tuple[Figure, tuple[Axes, ...]]:
    """A transparent figure with ``columns`` axes side by side, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.04, wspace=0.04)  # type: ignore[union-attr]
    figure.patch.set_alpha(0)
    axes = tuple(figure.add_subplot(1, columns, place + 1) for place in range(columns))
    for axis in axes:
        axis.patch.set_alpha(0)
    return figure, axes


def plain_ticks(side: Axis, *, wide: bool = False) -> None:
    """Numbers on a logarithmic axis as one says them.

    Args:
        side: an axes' horizontal or vertical axis.
        wide: at powers of ten alone, not at 2 and 5 times them as well.
    """
    side.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
    side.set_minor_locator(NullLocator())
    side.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def images_axis(axis: Axes, last: float | None = None) -> None:
    """Make the horizontal axis count images seen, in short numbers."""
    axis.set_xlabel("real images seen")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_xlim(left=0, right=last if last else None)


def band(
    axis: Axes,
    places: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    colour: str,
) -> None:
    """Intervals along a line: an area between their ends, and a bar where there is one alone."""
    if len(places) == 1:
        axis.vlines(places, lows, highs, color=colour, alpha=0.35, linewidth=4, clip_on=False)
    else:
        axis.fill_between(places, lows, highs, color=colour, alpha=0.18, linewidth=0)


def mark_lone_points(figure: Figure) -> None:
    """Put a marker on every point of a line that has no neighbour to draw the line to.

    A run that was evaluated once has one point, and a line through one point is invisible.
    """
    for axis in figure.axes:
        for line in axis.get_lines():
            x, y = (np.asarray(side, dtype=np.float64) for side in line.get_data(orig=False))
            there = np.isfinite(x) & np.isfinite(y)
            before, after = np.append(False, there[:-1]), np.append(there[1:], False)
            lone = np.flatnonzero(there & ~before & ~after)
            if len(lone) and line.get_marker() in ("None", "none", None, "", " "):
                line.set(marker="o", markersize=4.5, markevery=lone.tolist())
            low, high = sorted(axis.get_ylim())
            seen = ((y[lone] >= low) & (y[lone] <= high)).all()
            if len(lone) == there.sum() and seen:  # at the end of the axis it would be cut in half
                line.set_clip_on(False)


def short(value: float) -> str:
    """``12 k``-style number for an axis or a caption."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """Inline ``<svg>`` of ``figure``: no prologue, no metadata, unique identifiers.

    Panels that stand side by side become an ``<svg>`` each, which show their part of one drawing:
    the page puts them below each other where it is narrow.

    Args:
        figure: drawn with the stand-in colours of this module.
        name: unique on the page; all identifiers start with it.
        description: for readers who cannot see it.
    """
    mark_lone_points(figure)
    for patch in (figure.patch, *(axis.patch for axis in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    buffer = io.StringIO()
    # `savefig` would draw everything once more, for the layout that is made here anyway
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    # the page's own font and a width that yields to the column
    text = re.sub(r"font:([^;\"]*?)(\d[\d.]*px)[^;\"]*", r"font:\1\2 var(--sans)", text)
    # which is remembered, since on a telephone it does not yield below what can be read
    text = re.sub(r'(<svg[^>]*?) width="([^"]*)"', r'\1 style="--natural: \2"', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    label = str(Markup.escape(description))
    if (ends := _ends(figure)) is not None:
        return _side_by_side(text, f"{name}-figure_1", label, ends)
    text = text.replace("<svg", f'<svg class="plot" role="img" aria-label="{label}"', 1)
    return Markup(text)


def _ends(figure: Figure) -> list[float] | None:
    """Where the panels of a row begin and end, as shares of the width; None of other layouts."""
    axes = figure.axes
    if len(axes) < 2 or any(
        (place := axis.get_subplotspec()) is None
        or place.get_gridspec().nrows != 1
        or place.get_gridspec().ncols != len(axes)
        for axis in axes
    ):
        return None
    boxes = [axis.get_tightbbox() for axis in axes]
    width = figure.bbox.width
    between = [
        (left.x1 + right.x0) / 2 / width
        for left, right in pairwise(boxes)
        if left is not None and right is not None
    ]
    return [0.0, *between, 1.0]


def _side_by_side(text: str, drawing: str, label: str, ends: list[float]) -> Markup:
    """The ``<svg>`` ``text`` once for each panel; all but the first reuse its ``drawing``."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    natural = re.search(r"--natural: ([\d.]+)pt", text)
    if found is None or natural is None:
        raise RuntimeError("matplotlib wrote an SVG without a size")
    width, height = map(float, found.groups())
    parts = []
    for place, (start, end) in enumerate(pairwise(ends)):
        share = end - start
        view = f'viewBox="{start * width:.2f} 0 {share * width:.2f} {height:.2f}"'
        size = (
            f'style="--natural: {share * float(natural[1]):.1f}pt; flex-grow: {1000 * share:.0f}"'
        )
        if place == 0:
            part = text.replace(found[0], view, 1)
            part = re.sub(r'style="--natural: [^"]*"', size, part, count=1)
            parts.append(part.replace("<svg", '<svg class="plot"', 1))
        else:
            parts.append(f'<svg class="plot" {view} {size}><use href="#{drawing}"/></svg>')
    return Markup(f'<div class="row" role="img" aria-label="{label}">{"".join(parts)}</div>')
