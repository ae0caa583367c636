"""The result of a comparison as plain data and as pictures for print."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from undrift.comparison.figures import print_points
from undrift.comparison.settings import Compare
from undrift.comparison.summary import ledger_table, remarks
from undrift.comparison.tuning_table import tuning_remarks
from undrift.comparison.verdicts import MARGINS
from undrift.files.durable import write_output
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.names import shell_line
from undrift.version import __version__


def result_of(
    comparison: Compare,
    records: Sequence[dict[str, Any]],
    tuning: dict[str, Any] | None,
    parameters: dict[str, dict[str, dict[str, int]]],
    speeds: dict[str, Any],
    protocol: dict[str, Any],
    threads: int,
) -> dict[str, Any]:
    """What ``report.json`` holds, from the records of all runs."""
    names = list(chosen_metrics(comparison.metrics))
    done = [record for record in records if record["state"] == "done"]
    measured = [name for name in names if any(name in one["metrics"] for one in done)]
    ledgers = [
        ledger_table(ledger, comparison.arms, records, measured) for ledger in comparison.ledgers
    ]
    found: dict[str, Any] = {
        "version": __version__,
        "command": shell_line(comparison.command),
        "data": comparison.data,
        "methods": [arm.name for arm in comparison.arms],
        "arms": [arm.to_json() for arm in comparison.arms],
        "seeds": [comparison.seed + place for place in range(comparison.seeds)],
        "metrics": measured,
        "titles": {
            name: next(one["metrics"][name]["name"] for one in done if name in one["metrics"])
            for name in measured
        },
        "better": {name: METRICS[name].better for name in measured},
        "margins": {name: MARGINS[name].words for name in measured if name in MARGINS},
        "claims": [
            {**claim, "ledger": table["kind"]} for table in ledgers for claim in table["claims"]
        ],
        "ledgers": ledgers,
        "tuning": tuning,
        "missing": {
            name: reason
            for one in done
            for name, reason in one["missing"].items()
            if name not in measured
        },
        "parameters": parameters,
        "speeds": speeds,
        "protocol": {
            **protocol,
            "parameters": comparison.parameters,
            "n": comparison.n,
            "sample_seed": comparison.seed,
            "workers": comparison.workers,
            "threads": threads,
            "measuring": done[0]["protocol"] if done else "",
        },
        "runs": list(records),
    }
    return {**found, "remarks": remarks(found) + tuning_remarks(tuning)}


def write_result(folder: Path, found: dict[str, Any], *, pictures: bool = True) -> None:
    """Write ``report.json`` and ``compare-seconds.png`` or ``compare-images.png``, or both.

    Args:
        folder: of the comparison.
        found: what `result_of` made.
        pictures: whether to draw them.

    Raises:
        UsageError: if that cannot be done.
    """
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    for place, table in enumerate(found["ledgers"] if pictures else ()):
        figure = print_points(found, place)
        if figure is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=160)
            write_output(folder / f"compare-{table['kind']}.png", buffer.getvalue(), owned=True)
    write_output(folder / "report.json", text.encode(), owned=True)
