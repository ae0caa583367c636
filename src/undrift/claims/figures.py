"""What the figures and tables of all claims share: colours, panels, a line per run, cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.claims.evidence import Values
from undrift.metrics.bounded import ANY, Range
from undrift.metrics.seeds import over_seeds
from undrift.report.figure import COLOURS, THIN, panels
from undrift.results.claims import Measurement, TradeOff, TradeOffPoint
from undrift.results.curve import Interval

Found = TypeVar("Found", bound=Measurement)

FAINT = 0.6
"""Opacity of a line that is one of many."""

ORDER = ("diffusion", "r3gan", "stylegan2", "dcgan", "wgan_gp", "sngan")
"""Methods in the order of their colours, the same in every figure."""

_FAMILIES = {"unet": "diffusion", "transformer": "wgan_gp", "r3gan": "r3gan"}
"""Families of networks in the colours of methods."""


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
    return COLOURS[ORDER.index(_FAMILIES.get(method, method))]


def row_of(count: int, *, width: float = 4.6, height: float = 3.2) -> tuple[Figure, Sequence[Axes]]:
    """A figure with ``count`` axes side by side, in inches each."""
    return panels(count, width=width * count, height=height)


def methods_of(names: Sequence[str]) -> list[str]:
    """``names``, each once, in the order of the colours."""
    there = set(names)
    return [name for name in ORDER if name in there]


def by_method(found: Sequence[Found]) -> list[tuple[str, list[Found]]]:
    """Measurements of each method, in the order of the colours."""
    names = methods_of([one.method for one in found])
    return [(name, [one for one in found if one.method == name]) for name in names]


def lines_of(found: Sequence[Found]) -> Iterator[tuple[Found, str, str | None]]:
    """Each measurement with its colour, and a label where it is the first of its method."""
    for method, mine in by_method(found):
        for number, one in enumerate(mine):
            yield one, colour_of(method), None if number else method


def plot_trade_offs(
    axis: Axes, found: Sequence[TradeOff], across: str, up: str, *, alpha: float = FAINT
) -> None:
    """One metric against another, a line per run with a ring where the setting is off."""
    for one, colour, label in lines_of(found):
        known = [
            (x.value, y.value)
            for point in one.points
            for x, y in [(_metric(point, across), _metric(point, up))]
            if x is not None and y is not None
        ]
        xs, ys = [x for x, _ in known], [y for _, y in known]
        axis.plot(xs, ys, color=colour, linewidth=THIN, alpha=alpha, label=label)
        axis.plot(xs[:1], ys[:1], "o", color=colour, markerfacecolor="none", markersize=5)


def _metric(point: TradeOffPoint, name: str) -> Interval | None:
    return getattr(point, name)


def mean_of(values: Mapping[int, float | None], within: Range = ANY, digits: int = 3) -> str:
    """``0.12 (0.10 to 0.14)`` of a mean over seeds; a dash of none."""
    known: Values = {seed: value for seed, value in values.items() if value is not None}
    found = over_seeds(known, within)
    return "-" if found is None else ends_of(found.value, found.low, found.high, digits)


def ends_of(value: float, low: float | None, high: float | None, digits: int = 3) -> str:
    """``0.12 (0.10 to 0.14)``, without an interval where there is none."""
    if low is None or high is None:
        return f"{value:.{digits}g}"
    return f"{value:.{digits}g} ({low:.{digits}g} to {high:.{digits}g})"
