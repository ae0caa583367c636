"""The result of a study as plain data, and its files: report.json, report.html, figures/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undrift.claims.page import exhibits_of, render
from undrift.claims.study import Study
from undrift.claims.tables import SWEEP
from undrift.comparison import Compare
from undrift.comparison.verdicts import Finding
from undrift.files.durable import write_output
from undrift.names import shell_line
from undrift.report.record import RunRecord
from undrift.version import __version__

Record = dict[str, Any]


def result_of(
    study: Study,
    tables: Mapping[str, Record],
    pieces: Mapping[str, Record],
    failed: Mapping[str, str],
    found: Sequence[Finding],
    seconds: float,
) -> Record:
    """What ``report.json`` holds.

    Args:
        study: what was asked for.
        tables: name -> what each comparison found.
        pieces: name -> record of each piece.
        failed: name -> why a piece could not be made.
        found: the six findings.
        seconds: wall clock of this command; what was there already took its own.
    """
    runs = [run for table in tables.values() for run in table["runs"]]
    trials = _trials_of(tables)
    made = [*runs, *trials]
    measuring = [
        *(run.get("measuring_cpu_seconds") for run in made if run["state"] == "done"),
        *(piece.get("cpu_seconds") for piece in pieces.values()),
    ]
    return {
        "version": __version__,
        "command": shell_line(("undrift", *study.words)),
        "preset": study.preset,
        "data": study.data,
        "claims": [finding.to_json() for finding in found],
        "tables": dict(tables),
        "pieces": dict(pieces),
        "failed_pieces": dict(failed),
        "cost": {
            "runs": len(runs),
            "trials": len(trials),
            "failed_runs": sum(run["state"] != "done" for run in runs),
            "training_seconds": sum(one["seconds"] for one in made),
            "processor_seconds": sum(one["cpu_seconds"] or 0.0 for one in made),
            "measurements": len(measuring),
            "measuring_processor_seconds": sum(one or 0.0 for one in measuring),
            "measurements_of_unknown_cost": sum(one is None for one in measuring),
            "images_seen": sum(one["images"] for one in made),
            "command_seconds": seconds,
        },
    }


def _trials_of(tables: Mapping[str, Record]) -> list[Record]:
    """Every trial of every table."""
    return [
        trial
        for table in tables.values()
        if table["tuning"] is not None
        for by_arm in table["tuning"]["ledgers"].values()
        for found in by_arm.values()
        for trial in found["trials"]
    ]


def write_result(
    folder: Path,
    result: Record,
    asked: Mapping[str, Compare],
) -> None:
    """Write ``report.json``, a PNG of every figure and ``report.html``; the numbers first.

    Args:
        folder: of the study.
        result: what `result_of` made.
        asked: the tables.

    Raises:
        UsageError: if they cannot be written.
    """
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_output(folder / "report.json", text.encode(), owned=True)
    histories = {
        run["name"]: RunRecord.read(path).history
        for run in result["tables"][SWEEP]["runs"]
        if (path := Path(asked[SWEEP].out) / "runs" / run["name"]).is_dir()
    }
    exhibits = exhibits_of(result, histories)
    html = render(folder, result, exhibits)
    for exhibit in (one for found in exhibits.values() for one in found.figures):
        write_output(
            folder / "figures" / f"{exhibit.name}.png", exhibit.png, durable=False, owned=True
        )
    write_output(folder / "report.html", html.encode(), owned=True)
