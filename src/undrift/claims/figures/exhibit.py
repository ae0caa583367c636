"""A figure that is drawn twice, for the page and for print, and a table."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.report.figure import (
    INK,
    MUTED,
    REFERENCE,
    RULE,
    drawing,
    mark_lone_points,
    to_svg,
)
from undrift.report.sampler_curve import COLOURS, GREYS, printed

Tones = dict[str, str]

PAGE: Tones = {"ink": INK, "muted": MUTED, "reference": REFERENCE, "rule": RULE}
PRINT: Tones = {"ink": "#000000", **GREYS}

ORDER = ("diffusion", "r3gan", "stylegan2", "dcgan", "wgan_gp", "sngan")
"""Methods in the order of their colours, the same in every figure."""

FAMILIES = {"unet": "diffusion", "transformer": "wgan_gp", "r3gan": "r3gan"}
"""Families of networks in the colours of methods."""

THIN, FAINT = 0.9, 0.6
"""Width and strength of a line that is one of many."""


@dataclass(frozen=True)
class Exhibit:
    """A figure.

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
            figure = self.draw(PAGE)
            figure.patch.set_alpha(0)
            for axis in figure.axes:
                axis.patch.set_alpha(0)
            return to_svg(figure, self.name, self.caption)

    @property
    def png(self) -> bytes:
        """For print."""
        with drawing(), printed():
            figure = self.draw(PRINT)
            figure.patch.set(facecolor="white", alpha=1)
            mark_lone_points(figure)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=200)
            return buffer.getvalue()


@dataclass(frozen=True)
class Table:
    """Numbers in rows.

    Attributes:
        heads: of the columns; the first one names rows.
        rows: cells as text.
        note: what to know about them.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def colour_of(method: str) -> str:
    """The colour of a method or family in every figure."""
    return COLOURS[ORDER.index(FAMILIES.get(method, method))]


def row_of(count: int, *, width: float = 4.6, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes side by side, in inches each."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06, wspace=0.05)  # type: ignore[union-attr]
    return figure, [figure.add_subplot(1, count, place + 1) for place in range(count)]


def methods_of(names: Sequence[str]) -> list[str]:
    """``names``, each once, in the order of the colours."""
    there = set(names)
    return [name for name in ORDER if name in there]


def ends_of(entry: dict[str, float | None] | None, digits: int = 3) -> str:
    """``0.12 (0.10 to 0.14)`` of a mean over seeds or of an estimate."""
    if entry is None or entry.get("value") is None:
        return "-"
    value, low, high = (entry.get(end) for end in ("value", "low", "high"))
    if low is None or high is None:
        return f"{value:.{digits}g}"
    return f"{value:.{digits}g} ({low:.{digits}g} to {high:.{digits}g})"
