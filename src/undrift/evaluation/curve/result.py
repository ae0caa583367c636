"""The result of a curve: all points, the best of them, and the picture."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from undrift.evaluation.curve.asked import Curve
from undrift.evaluation.curve.best import best_within
from undrift.evaluation.curve.cells import Skipped
from undrift.evaluation.target import Target
from undrift.files.durable import write_output
from undrift.files.ownership import SOFTWARE
from undrift.metrics import floor_notes
from undrift.metrics.catalogue import METRICS
from undrift.report.sampler_curve import print_figure
from undrift.version import __version__

FILES = ("curve.png", "curve.json")


def result_of(
    asked: Curve,
    subject: Target,
    records: list[dict[str, Any]],
    skipped: list[Skipped],
    names: Sequence[str],
) -> dict[str, Any]:
    """What ``curve.json`` holds, from the records of all points."""
    first = records[0]
    spec = subject.pipeline.spec if subject.pipeline is not None else None
    kept = ("name", "value", "low", "high")
    cells = [
        {name: record[name] for name in ("sampler", "nfe", "steps", "seconds")}
        | {
            "metrics": {
                name: {part: one[part] for part in kept} for name, one in record["metrics"].items()
            }
        }
        for record in records
    ]
    return {
        "version": __version__,
        "target": subject.name,
        "n": asked.n,
        "seed": asked.seed,
        "guidance": asked.guidance if asked.guidance is not None or spec is None else spec.guidance,
        "grid": asked.grid if asked.grid is not None or spec is None else spec.grid,
        "metrics": [name for name in names if name in first["metrics"]],
        "missing": first["missing"],
        "titles": {name: one["name"] for name, one in first["metrics"].items()},
        "better": {name: METRICS[name].better for name in names},
        "floors": {name: one["floor"] for name, one in first["metrics"].items()},
        "floors_missing": floor_notes(
            {name: one.get("floor_missing") for name, one in first["metrics"].items()}
        ),
        "features": first["features"],
        "reference": first["reference"],
        "protocol": first["protocol"],
        "threads": torch.get_num_threads(),
        "cells": cells,
        "skipped": [vars(one) for one in skipped],
        "best": {
            name: best_within(cells, name, METRICS[name].better, asked.nfe)  # type: ignore[arg-type]
            for name in names
        },
    }


def write_result(folder: Path, found: dict[str, Any], *, owned: bool) -> None:
    """Write ``curve.png`` and ``curve.json`` into ``folder``.

    Args:
        folder: where to write.
        found: the result.
        owned: the folder is a run's; in another one only files that undrift wrote are replaced.

    Raises:
        UsageError: if that cannot be done.
    """
    buffer = io.BytesIO()
    print_figure(found).savefig(buffer, format="png", dpi=160, metadata={"Software": SOFTWARE})
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    for name, data in zip(FILES, (buffer.getvalue(), text.encode()), strict=True):
        write_output(folder / name, data, owned=owned)
