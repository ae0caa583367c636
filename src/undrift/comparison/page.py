"""``report.html`` of a comparison: one self-contained page, readable on a telephone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template
from markupsafe import Markup

from undrift.comparison.figures import metric_charts, quality_chart, training_charts
from undrift.comparison.sentences import (
    ClaimLine,
    DifferenceLine,
    claim_lines,
    difference_lines,
    lead_of,
    level_lines,
)
from undrift.comparison.tables import (
    Head,
    MetricRow,
    Row,
    RunRow,
    TrialRow,
    cost_rows,
    heads,
    metric_rows,
    protocol_of,
    run_rows,
    tuning_heads,
    tuning_rows,
)
from undrift.files.durable import write_output
from undrift.report.figure import Chart
from undrift.report.history import History
from undrift.report.html import source, template
from undrift.report.page import style
from undrift.report.pictures import Picture, thumbnail
from undrift.report.record import RunRecord
from undrift.report.words import model_rows, training_rows
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


@dataclass(frozen=True)
class SampleRow:
    """Sample grids of one seed, from the same noise and labels.

    Attributes:
        seed: of training.
        pictures: name of a method, and its grid; None where there is none.
    """

    seed: int
    pictures: Sequence[tuple[str, Picture | None]]


@dataclass(frozen=True)
class Recipe:
    """What a method is and how it is trained.

    Attributes:
        name: of the method.
        rows: names and values.
    """

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class BudgetSection:
    """What the page shows of one budget.

    Attributes:
        kind: what is equal.
        words: as a heading.
        rows: metrics.
        differences: to the first method.
        claims: verdicts.
        points: a chart per metric.
        grids: samples.
        quality: kernel distance over training; None where it was not measured.
        levels: sentences on noise levels.
        curves: training curves, a chart per method.
        costs: a row per method.
        trials: of tuning.
        runs: every run.
    """

    kind: str
    words: str
    rows: Sequence[MetricRow]
    differences: Sequence[DifferenceLine]
    claims: Sequence[ClaimLine]
    points: Sequence[Chart]
    grids: Sequence[SampleRow]
    quality: Chart | None
    levels: Sequence[str]
    curves: Sequence[Chart]
    costs: Sequence[Sequence[Row]]
    trials: Sequence[TrialRow]
    runs: Sequence[RunRow]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page shows.

    Attributes:
        title: of the page.
        lead: its first sentence.
        remarks: what a reader has to know before the tables.
        heads: columns of metrics.
        budgets: a section each.
        tuning: columns of the trials; empty where nothing was tuned.
        protocol: what was equal for all.
        methods: their recipes.
        missing: metrics that could not be computed.
        command: that repeats the comparison.
    """

    title: str
    lead: str
    remarks: Sequence[str]
    heads: Sequence[Head]
    budgets: Sequence[BudgetSection]
    tuning: Sequence[str]
    protocol: Sequence[Row]
    methods: Sequence[Recipe]
    missing: Sequence[str]
    command: str


def write_page(folder: Path, found: ComparisonResult) -> Path:
    """Write the page of ``found`` into ``folder``, by rename, and return its path.

    Raises:
        UsageError: it cannot be written.
        ModelFileError: a file of a run is damaged.
    """
    page = page_of(folder, found)
    html = _template("comparison.html").render(
        page=page, sections=sections(page), style=style(), own_style=own_style()
    )
    path = folder / "report.html"
    write_output(path, html.encode(), owned=True)
    return path


def sections(page: Page) -> Markup:
    """Everything below the head of the page: tables, grids, curves, costs, protocol, runs."""
    return Markup(_template("sections.html").render(page=page))


@cache
def own_style() -> Markup:
    """Style of the sections, in addition to that of all pages."""
    return Markup(source(_PACKAGE, "comparison.css"))


@cache
def _template(name: str) -> Template:
    return template(_PACKAGE, name)


def page_of(folder: Path, found: ComparisonResult) -> Page:
    """What the page shows of ``found``, in words, pictures and figures."""
    return Page(
        title=f"{', '.join(found.methods)} on {Path(found.data).name or found.data}",
        lead=lead_of(found),
        remarks=found.remarks,
        heads=heads(found),
        budgets=[_section(folder, found, table) for table in found.budgets],
        tuning=[] if found.tuning is None else tuning_heads(found.tuning),
        protocol=protocol_of(found),
        methods=_recipes(found),
        missing=[f"no {name}: {reason}" for name, reason in found.missing.items()],
        command=found.command,
    )


def _section(folder: Path, found: ComparisonResult, table: BudgetResult) -> BudgetSection:
    runs = [run for run in found.runs if (run.budget, run.amount) == (table.kind, table.amount)]
    histories: dict[str, list[tuple[int, History]]] = {}
    for run in runs:
        path = folder / "runs" / run.name
        if path.is_dir():
            history = RunRecord.read(path).history
            histories.setdefault(run.method, []).append((run.seed, history))
    return BudgetSection(
        kind=table.kind,
        words=table.words,
        rows=metric_rows(found, table),
        differences=difference_lines(found, table),
        claims=claim_lines(table),
        points=metric_charts(found, table),
        grids=_grids(folder, found, runs),
        quality=quality_chart(found.methods, table.kind, histories),
        levels=level_lines(found.methods, histories),
        curves=training_charts(found.methods, table.kind, histories),
        costs=cost_rows(found, table),
        trials=[] if found.tuning is None else tuning_rows(found.tuning, table.kind),
        runs=run_rows(found, runs),
    )


def _grids(
    folder: Path, found: ComparisonResult, runs: Sequence[MeasuredRun | FailedRun]
) -> list[SampleRow]:
    """Sample grids by seed, all methods beside each other."""
    rows = []
    names = {(run.method, run.seed): run.name for run in runs}
    for seed in found.seeds[:_GRIDS]:
        pictures: list[tuple[str, Picture | None]] = []
        for method in found.methods:
            path = folder / "runs" / names.get((method, seed), "") / "grid.png"
            shown = None
            if (method, seed) in names and path.is_file():
                shown = thumbnail(path, f"Samples of {method}, seed {seed}", side=_SIDE)
            pictures.append((method, shown))
        if any(picture for _, picture in pictures):
            rows.append(SampleRow(seed, pictures))
    return rows


def _recipes(found: ComparisonResult) -> list[Recipe]:
    """One entry per method where it is the same at both budgets."""
    made: list[Recipe] = []
    for kind, by_method in found.configs.items():
        for name, config in by_method.items():
            count, plain = found.parameters[kind][name], to_plain(config)
            sizes = f"{count.generator:,} of the generator, {count.all:,} in all"
            own = ("length", "seed", "budget")  # each run's own
            rows = [
                row for row in model_rows(plain, None) + training_rows(plain) if row[0] not in own
            ]
            entry = Recipe(name, [("parameters", sizes), *rows])
            if entry not in made:
                made.append(entry)
    return made
