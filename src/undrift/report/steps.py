"""What each step costs and gives, in a table and in words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from undrift.report.metric_table import amount, title_of
from undrift.results.steps import StepsResult, StepsRow, StepsValue
from undrift.wording import plural

SHOWN = ("fd", "coverage", "label_accuracy")
"""Metrics whose change the sentences name."""


@dataclass(frozen=True)
class StepsTable:
    """The rows, formatted.

    Attributes:
        columns: titles of the metrics.
        rows: name, NFE, milliseconds alone and in a batch, and a value with its interval for each
            column.
        sentences: what each step that is left out costs.
        note: what was compared.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]
    note: str


def steps_table(found: StepsResult) -> StepsTable:
    """The table of a student's steps beside its teacher."""
    names = tuple(found.rows[0].metrics) if found.rows else ()
    rows = tuple(
        (
            _name(row),
            f"{row.nfe:g}",
            f"{row.milliseconds:.3g}",
            f"{row.milliseconds_64:.3g}",
            *(_cell(name, row.metrics.get(name)) for name in names),
        )
        for row in found.rows
    )
    note = (
        f"{found.n:,} samples of each, measured as the metrics above. Milliseconds per image, "
        f"drawn alone and 64 at once, {plural(found.threads, 'CPU thread')}; they include all "
        "that sampling does."
    )
    sentences = tuple(price(before, after) for before, after in pairwise(found.rows))
    return StepsTable(tuple(map(title_of, names)), rows, sentences, note)


def price(before: StepsRow, after: StepsRow) -> str:
    """What going from one row to a cheaper one costs and saves, as a sentence."""
    speed = before.milliseconds_64 / max(after.milliseconds_64, 1e-9)
    changes = [
        _change(name, before.metrics[name], after.metrics[name])
        for name in SHOWN
        if name in before.metrics and name in after.metrics
    ]
    faster = f"{speed:.3g} times as fast"
    listed = "; ".join([faster, *changes])
    return f"From {_name(before)} to {_name(after)}: {listed}."


def _change(name: str, before: StepsValue, after: StepsValue) -> str:
    words = f"{title_of(name)} {amount(name, before.value)} to {amount(name, after.value)}"
    if name == "fd" and before.value > 0:
        words += f", {after.value / before.value:.2f} times"
    if None in (before.low, before.high, after.low, after.high):
        return words
    apart = (after.low or 0) > (before.high or 0) or (after.high or 0) < (before.low or 0)
    return words if apart else f"{words} (the intervals overlap)"


def _name(row: StepsRow) -> str:
    return f"{row.model}, {plural(row.steps, 'step')}"


def _cell(name: str, one: StepsValue | None) -> str:
    if one is None:
        return "-"
    if one.low is None or one.high is None:
        return amount(name, one.value)
    return f"{amount(name, one.value)} ({amount(name, one.low)} to {amount(name, one.high)})"
