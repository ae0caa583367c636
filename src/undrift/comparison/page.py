"""``report.html`` of a comparison: one page, complete in itself, readable on a telephone.

It takes the style, the figures and the words of a run's report. Everything is inline.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from undrift.comparison.figures import curve_panels, point_panels, quality_panel
from undrift.comparison.sentences import claim_lines, lead_of, level_lines, verdict_lines
from undrift.comparison.tables import (
    cost_rows,
    heads,
    metric_rows,
    protocol_of,
    run_rows,
)
from undrift.comparison.tuning_table import tuning_heads, tuning_rows
from undrift.files.durable import write_output
from undrift.report.history import History
from undrift.report.html import source, template
from undrift.report.page import style
from undrift.report.pictures import Picture, thumbnail
from undrift.report.record import RunRecord
from undrift.report.words import model_rows, training_rows

_PACKAGE = "undrift.comparison"

Record = dict[str, Any]

_GRIDS = 3
"""Seeds whose sample grids are shown."""

_SIDE = 420
"""CSS pixels of a grid at most."""


def write_page(folder: Path, found: Record) -> Path:
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


def sections(page: Record) -> Markup:
    """Everything below the head of the page: tables, grids, curves, costs, protocol, runs."""
    return Markup(_template("sections.html").render(page=page))


@cache
def own_style() -> Markup:
    """What the sections need beside the style of all pages."""
    return Markup(source(_PACKAGE, "comparison.css"))


@cache
def _template(name: str) -> Template:
    return template(_PACKAGE, name)


def page_of(folder: Path, found: Record) -> Record:
    """What the page shows of ``found``, in words, pictures and figures."""
    return {
        "title": f"{', '.join(found['methods'])} on {Path(found['data']).name or found['data']}",
        "lead": lead_of(found),
        "remarks": found["remarks"],
        "heads": heads(found),
        "ledgers": [_ledger(folder, found, place) for place in range(len(found["ledgers"]))],
        "tuning": [] if found["tuning"] is None else tuning_heads(found["tuning"]),
        "protocol": protocol_of(found),
        "methods": _recipes(found),
        "missing": [f"no {name}: {reason}" for name, reason in found["missing"].items()],
        "command": found["command"],
    }


def _ledger(folder: Path, found: Record, place: int) -> Record:
    table = found["ledgers"][place]
    mine = [
        run
        for run in found["runs"]
        if (run["ledger"], run["amount"]) == (table["kind"], table["amount"])
    ]
    histories: dict[str, list[tuple[int, History]]] = {}
    for run in mine:
        path = folder / "runs" / run["name"]
        if path.is_dir():
            histories.setdefault(run["method"], []).append((run["seed"], _history(path)))
    return {
        "kind": table["kind"],
        "words": table["words"],
        "rows": metric_rows(found, table),
        "verdicts": verdict_lines(found, table),
        "claims": claim_lines(table),
        "points": point_panels(found, place),
        "grids": _grids(folder, found, mine),
        "quality": quality_panel(found["methods"], table["kind"], histories),
        "levels": level_lines(found["methods"], histories),
        "curves": curve_panels(found["methods"], table["kind"], histories),
        "costs": cost_rows(found, table),
        "trials": [] if found["tuning"] is None else tuning_rows(found["tuning"], table["kind"]),
        "runs": run_rows(found, mine),
    }


def _history(path: Path) -> History:
    return RunRecord.read(path).history


def _grids(folder: Path, found: Record, runs: list[Record]) -> list[Record]:
    """Sample grids by seed, all methods beside each other: the same noise, the same classes."""
    rows = []
    for seed in found["seeds"][:_GRIDS]:
        pictures: list[tuple[str, Picture | None]] = []
        for method in found["methods"]:
            run = next((r for r in runs if (r["method"], r["seed"]) == (method, seed)), None)
            path = folder / "runs" / (run["name"] if run else "") / "grid.png"
            shown = None
            if run is not None and path.is_file():
                shown = thumbnail(path, f"Samples of {method}, seed {seed}", side=_SIDE)
            pictures.append((method, shown))
        if any(picture for _, picture in pictures):
            rows.append({"seed": seed, "pictures": pictures})
    return rows


def _recipes(found: Record) -> list[Record]:
    """What each method is and how it is trained; one entry where it is the same in both ledgers."""
    made: list[Record] = []
    for kind, by_method in found["configs"].items():
        for name, plain in by_method.items():
            count = found["parameters"][kind][name]
            sizes = f"{count['generator']:,} of the generator, {count['all']:,} in all"
            own = ("length", "seed", "budget")  # each run's own
            rows = [
                row for row in model_rows(plain, None) + training_rows(plain) if row[0] not in own
            ]
            entry = {"name": name, "rows": [("parameters", sizes), *rows]}
            if entry not in made:
                made.append(entry)
    return made
