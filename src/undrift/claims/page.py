"""``report.html`` of a study: six verdicts, then what each rests on; one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template

from undrift.claims.claims import CLAIMS, effect, interval
from undrift.claims.comparisons import MAIN
from undrift.claims.evidence import Evidence
from undrift.claims.figures import Table
from undrift.comparison.page import own_style, sections
from undrift.comparison.sentences import VERDICTS
from undrift.report.cost import duration
from undrift.report.figure import Chart, short
from undrift.report.html import template
from undrift.report.page import style
from undrift.report.pictures import Picture
from undrift.results.claims import ClaimsResult
from undrift.results.verdict import ClaimResult
from undrift.wording import plural


@dataclass(frozen=True)
class Section:
    """What the page shows of a claim.

    Attributes:
        result: the verdict.
        title: of the claim.
        charts: its figures.
        tables: of numbers.
        pictures: rows of images with their names.
    """

    result: ClaimResult
    title: str
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, Picture]] = ()


def sections_of(result: ClaimsResult, evidence: Evidence) -> list[Section]:
    """A section for each claim.

    Args:
        result: of the study.
        evidence: that it rests on.
    """
    return [
        Section(
            verdict,
            claim.title,
            claim.figures(evidence),
            claim.tables(evidence),
            claim.pictures(evidence),
        )
        for verdict in result.claims
        for claim in [CLAIMS[verdict.name]]
    ]


def render(folder: Path, result: ClaimsResult, claims: Sequence[Section]) -> str:
    """The page.

    Args:
        folder: of the study.
        result: of it.
        claims: a section each.
    """
    found = result.comparisons[MAIN]
    # the comparison's own verdicts rest on one table; those of the study on all
    main = sections(folder / MAIN, found, claims=False)
    return _template().render(
        title=f"Six claims on {Path(result.data).name or result.data}",
        lead=_lead(result),
        claims=claims,
        tones=VERDICTS,
        effect=effect,
        interval=interval,
        tuned=found.tuning is not None,
        cost=_cost(result),
        comparisons=_comparisons(result),
        result=result,
        sections=main,
        style=style(),
        own_style=own_style(),
    )


@cache
def _template() -> Template:
    return template("undrift.claims", "study.html")


def _lead(result: ClaimsResult) -> str:
    words: Mapping[str, int] = {
        verdict: sum(claim.verdict == verdict for claim in result.claims)
        for verdict in ("supported", "mixed", "not supported", "inconclusive")
    }
    counts = ", ".join(f"{count} {verdict}" for verdict, count in words.items() if count)
    methods = ", ".join(result.comparisons[MAIN].methods)
    return (
        f"Why diffusion replaced GANs, tested on {plural(result.cost.runs, 'run')} of {methods} "
        f"under one protocol: {counts}. Margins and numbers of seeds were fixed before any run; "
        "the number of a claim is that of its weakest contrast."
    )


def _cost(result: ClaimsResult) -> list[tuple[str, str]]:
    cost = result.cost
    unknown = cost.measurements_of_unknown_cost
    time = duration(cost.measuring_processor_seconds)
    measuring = f"{time} of processor time, {cost.measurements:,} measurements"
    measuring += f", {unknown:,} of them of unknown cost" if unknown else ""
    return [
        ("runs", f"{cost.runs:,}, of which {cost.failed_runs:,} without samples"),
        ("trials", f"{cost.trials:,} before them"),
        ("training", f"{duration(cost.training_seconds)}, all runs and trials added up"),
        ("processor time", f"{duration(cost.processor_seconds)} of training"),
        ("measuring", measuring),
        ("real images seen", short(cost.images_seen)),
        ("this command", duration(cost.command_seconds)),
    ]


def _comparisons(result: ClaimsResult) -> list[tuple[str, str]]:
    """What each comparison was made of."""
    rows = []
    for name, found in result.comparisons.items():
        budgets = " and ".join(table.words for table in found.budgets)
        rows.append(
            (
                name,
                f"{plural(len(found.runs), 'run')}: {', '.join(found.methods)}; "
                f"{plural(len(found.seeds), 'seed')}; {budgets}; "
                f"{plural(found.protocol.n, 'sample')} each, "
                f"of {plural(found.protocol.train_images, 'training image')}",
            )
        )
    return rows
