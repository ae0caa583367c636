"""``report.html`` of a comparison: one self-contained page, readable on a telephone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template
from markupsafe import Markup

from undrift.comparison import sentences, tables
from undrift.comparison.figures import metric_charts, quality_chart, training_charts
from undrift.files.document import Document
from undrift.files.durable import write_output
from undrift.report.cost import duration
from undrift.report.figure import Chart
from undrift.report.history import History
from undrift.report.html import source, template
from undrift.report.metric_table import amount, title_of
from undrift.report.page import style
from undrift.report.pictures import Picture, thumbnail
from undrift.report.record import RunRecord
from undrift.report.words import Row, model_rows, training_rows
from undrift.results.comparison import (
    BudgetResult,
    ComparisonResult,
    FailedRun,
    MeasuredRun,
)
from undrift.schema import to_plain

_PACKAGE = "undrift.comparison"

_GRIDS = 3
"""Seeds whose sample grids are shown."""

_SIDE = 420
"""CSS pixels of a grid at most."""

Runs = Sequence[MeasuredRun | FailedRun]


@dataclass(frozen=True, kw_only=True)
class BudgetSection:
    """What the page shows of one budget.

    Attributes:
        table: its results.
        runs: every run.
        points: a chart per metric.
        grids: seed -> name of a method and its samples, None where there are none.
        quality: kernel distance over training; None where it was not measured.
        levels: sentences on noise levels.
        curves: training curves, a chart per method.
    """

    table: BudgetResult
    runs: Runs
    points: Sequence[Chart]
    grids: Mapping[int, Sequence[tuple[str, Picture | None]]]
    quality: Chart | None
    levels: Sequence[str]
    curves: Sequence[Chart]


def write_page(folder: Path, found: ComparisonResult) -> Path:
    """Write the page of ``found`` into ``folder``, by rename, and return its path.

    Raises:
        UsageError: it cannot be written.
        ModelFileError: a file of a run is damaged.
    """
    html = _template("comparison.html").render(
        title=f"{', '.join(found.methods)} on {Path(found.data).name or found.data}",
        lead=sentences.lead_of(found),
        found=found,
        sections=sections(folder, found),
        style=style(),
        own_style=own_style(),
    )
    path = folder / "report.html"
    write_output(path, html.encode(), owned=True)
    return path


def sections(folder: Path, found: ComparisonResult, *, claims: bool = True) -> Markup:
    """Everything below the head of the page: tables, grids, curves, costs, protocol, runs.

    Args:
        folder: of the comparison.
        found: its result.
        claims: whether to show the verdicts on the six claims.
    """
    html = _template("sections.html").render(
        found=found,
        budgets=[_section(folder, found, table) for table in found.budgets],
        claims=claims,
        recipes=_recipes(found),
        sentences=sentences,
        tables=tables,
        amount=amount,
        title_of=title_of,
        duration=duration,
    )
    return Markup(html)


@cache
def own_style() -> Markup:
    """Style of the sections, in addition to that of all pages."""
    return Markup(source(_PACKAGE, "comparison.css"))


@cache
def _template(name: str) -> Template:
    return template(_PACKAGE, name)


def _section(folder: Path, found: ComparisonResult, table: BudgetResult) -> BudgetSection:
    runs = [run for run in found.runs if (run.budget, run.amount) == (table.kind, table.amount)]
    histories: dict[str, list[tuple[int, History]]] = {}
    for run in runs:
        path = folder / "runs" / run.name
        if path.is_dir():
            history = RunRecord.read(path).history
            histories.setdefault(run.method, []).append((run.seed, history))
    return BudgetSection(
        table=table,
        runs=runs,
        points=metric_charts(found, table),
        grids=_grids(folder, found, runs),
        quality=quality_chart(found.methods, table.kind, histories),
        levels=sentences.level_lines(found.methods, histories),
        curves=training_charts(found.methods, table.kind, histories),
    )


def _grids(
    folder: Path, found: ComparisonResult, runs: Runs
) -> dict[int, list[tuple[str, Picture | None]]]:
    """Sample grids by seed, all methods beside each other."""
    grids: dict[int, list[tuple[str, Picture | None]]] = {}
    names = {(run.method, run.seed): run.name for run in runs}
    for seed in found.seeds[:_GRIDS]:
        for method in found.methods:
            path = folder / "runs" / names.get((method, seed), "") / "grid.png"
            shown = None
            if (method, seed) in names and path.is_file():
                shown = thumbnail(path, f"Samples of {method}, seed {seed}", side=_SIDE)
            grids.setdefault(seed, []).append((method, shown))
    return {seed: row for seed, row in grids.items() if any(picture for _, picture in row)}


def _recipes(found: ComparisonResult) -> list[tuple[str, list[Row]]]:
    """What each method is and how it is trained; once where it is the same at both budgets."""
    made: list[tuple[str, list[Row]]] = []
    for kind, by_method in found.configs.items():
        for name, config in by_method.items():
            count, plain = found.parameters[kind][name], Document(entries=to_plain(config))
            sizes = f"{count.generator:,} of the generator, {count.all:,} in all"
            own = ("length", "seed", "budget")  # each run's own
            rows = [
                row for row in model_rows(plain, None) + training_rows(plain) if row[0] not in own
            ]
            entry = (name, [("parameters", sizes), *rows])
            if entry not in made:
                made.append(entry)
    return made
