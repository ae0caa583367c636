"""``report.html`` of a study: six verdicts first, then what each rests on; complete in itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from undrift.claims.evidence import LEDGER
from undrift.claims.figures import (
    control,
    coverage,
    inference,
    likelihood,
    scaling,
    stability,
)
from undrift.claims.figures.exhibit import Exhibit, Table
from undrift.claims.words import effect, interval, title_of
from undrift.comparison.page import own_style, page_of, sections
from undrift.comparison.sentences import VERDICTS
from undrift.report.cost import duration
from undrift.report.figure import short
from undrift.report.history import History
from undrift.report.html import template
from undrift.report.page import style
from undrift.report.pictures import Picture
from undrift.wording import plural

Record = dict[str, Any]


@dataclass(frozen=True)
class Exhibits:
    """What a claim shows.

    Attributes:
        figures: drawn twice, for page and print.
        tables: of numbers.
        pictures: rows of images with their names.
    """

    figures: tuple[Exhibit, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[tuple[str, Picture], ...] = ()


def exhibits_of(result: Record, histories: Mapping[str, History]) -> dict[str, Exhibits]:
    """The exhibits of each claim, by its name.

    Args:
        result: of the study.
        histories: run of the table "sweep" -> what its events tell.
    """
    tables, pieces = result["tables"], result["pieces"]
    claims = {claim["name"]: claim for claim in result["claims"]}
    sweep = tables["sweep"]

    def there(*found: Table | None) -> tuple[Table, ...]:
        return tuple(table for table in found if table is not None)

    return {
        "stability": Exhibits(
            tuple(stability.figures(sweep)), there(stability.table(sweep, histories))
        ),
        "coverage": Exhibits(tuple(coverage.figures(pieces)), tuple(coverage.tables(pieces))),
        "scaling": Exhibits(
            tuple(scaling.figures(tables)), there(scaling.table(claims["scaling"]["parts"]))
        ),
        "control": Exhibits(
            tuple(control.figures(pieces)),
            there(control.table(pieces)),
            tuple(control.pictures(pieces)),
        ),
        "likelihood": Exhibits(tuple(likelihood.figures(pieces)), there(likelihood.table(pieces))),
        "inference": Exhibits(
            tuple(inference.figures(tables["main"], pieces, LEDGER)),
            there(inference.table(pieces)),
        ),
    }


def render(
    folder: Path,
    result: Record,
    exhibits: Mapping[str, Exhibits],
) -> str:
    """The page.

    Args:
        folder: of the study.
        result: of it.
        exhibits: by the names of claims.
    """
    main = page_of(folder / "main", result["tables"]["main"])
    # the comparison's own verdicts stand on one table; those of the study lean on all
    main = {**main, "ledgers": [{**ledger, "claims": []} for ledger in main["ledgers"]]}
    page = {
        "title": f"Six claims on {Path(result['data']).name or result['data']}",
        "lead": _lead(result),
        "claims": [_claim(claim, exhibits[claim["name"]]) for claim in result["claims"]],
        "tuned": result["tables"]["main"]["tuning"] is not None,
        "cost": _cost(result),
        "tables": _tables(result),
        "failed": result["failed_pieces"],
        "command": result["command"],
        "version": result["version"],
    }
    return _template().render(
        page=page, sections=sections(main), style=style(), own_style=own_style()
    )


@cache
def _template() -> Template:
    return template("undrift.claims", "study.html")


def _claim(claim: Record, exhibits: Exhibits) -> Record:
    ends = interval(claim["unit"], claim["low"], claim["high"])
    measured = claim["value"] is not None
    return {
        "name": claim["name"],
        "title": title_of(claim["name"]),
        "question": claim["question"],
        "verdict": claim["verdict"],
        "tone": VERDICTS[claim["verdict"]],
        "value": effect(claim["unit"], claim["value"]) if measured else "no number",
        "beside": f"{ends} (95%); {claim['unit']}" if measured else claim["reason"],
        "interval": ends,
        "unit": claim["unit"],
        "reason": claim["reason"],
        "parts": [
            {
                **part,
                "tone": VERDICTS[part["verdict"]],
                "effect": effect(part["unit"], part["value"]),
                "interval": interval(part["unit"], part["low"], part["high"]),
                "margin": effect(part["unit"], part["margin"]).lstrip("+"),
            }
            for part in claim["parts"]
        ],
        "figures": [(one.svg, one.caption) for one in exhibits.figures],
        "tables": exhibits.tables,
        "pictures": exhibits.pictures,
    }


def _lead(result: Record) -> str:
    main, cost = result["tables"]["main"], result["cost"]
    words = {"supported": 0, "mixed": 0, "not supported": 0, "inconclusive": 0}
    for claim in result["claims"]:
        words[claim["verdict"]] += 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in words.items() if count)
    methods = ", ".join(main["methods"])
    return (
        f"Why diffusion replaced GANs, held against {plural(cost['runs'], 'run')} of "
        f"{methods} on one "
        f"bench: {told}. Margins and numbers of seeds were fixed before any run; a claim stands on "
        "its weakest exhibit."
    )


def _cost(result: Record) -> list[tuple[str, str]]:
    cost = result["cost"]
    return [
        ("runs", f"{cost['runs']:,}, of which {cost['failed_runs']:,} without samples"),
        ("trials", f"{cost['trials']:,} before them"),
        ("training", f"{duration(cost['training_seconds'])}, all runs and trials added up"),
        ("processor time", f"{duration(cost['processor_seconds'])} of training"),
        ("measuring", _measuring(cost)),
        ("real images seen", short(cost["images_seen"])),
        ("this command", duration(cost["command_seconds"])),
    ]


def _measuring(cost: Record) -> str:
    unknown = cost["measurements_of_unknown_cost"]
    time = duration(cost["measuring_processor_seconds"])
    words = f"{time} of processor time, {cost['measurements']:,} measurements"
    return f"{words}, {unknown:,} of them of unknown cost" if unknown else words


def _tables(result: Record) -> list[tuple[str, str]]:
    """What each table was made of."""
    rows = []
    for name, found in result["tables"].items():
        ledgers = " and ".join(table["words"] for table in found["ledgers"])
        rows.append(
            (
                name,
                f"{plural(len(found['runs']), 'run')}: {', '.join(found['methods'])}; "
                f"{plural(len(found['seeds']), 'seed')}; {ledgers}; "
                f"{plural(found['protocol']['n'], 'sample')} each, "
                f"of {plural(found['protocol']['train_images'], 'training image')}",
            )
        )
    return rows
