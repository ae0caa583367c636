"""The result of an evaluation as plain JSON, and where it is written."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch

from undrift.data.findings import findings
from undrift.evaluation.asked import Evaluate
from undrift.evaluation.drawing import Drawn
from undrift.evaluation.reference import Reference
from undrift.evaluation.subject import Subject
from undrift.evaluation.unsaved import kept
from undrift.evaluation.watcher import Watcher
from undrift.files.durable import write_file, write_output
from undrift.metrics import Comparison, measure, with_sensitivity
from undrift.report.refresh import refresh
from undrift.runs.directory import RunDirectory
from undrift.version import __version__


def result_of(
    subject: Subject,
    drawn: Drawn,
    comparison: Comparison,
    names: tuple[str, ...],
    asked: Evaluate,
    reference: Reference,
    watcher: Watcher,
) -> dict[str, Any]:
    """Measure ``names`` of one subject; with what its samples and the metrics cost."""
    began = time.perf_counter()
    found = with_sensitivity(measure(comparison, names, watcher.metric), comparison)
    available = len(subject.given) if subject.given is not None else None
    return {
        "version": __version__,
        "target": subject.name,
        **found,
        "samples": {
            "count": len(comparison.samples),
            "available": available,
            "findings": findings(subject.report),
        },
        "reference": {
            "source": reference.source,
            "split": reference.split,
            "count": len(comparison.reference),
            "available": len(reference.images),
            "fingerprint": reference.fingerprint,
            "findings": findings(reference.report),
        },
        "sampling": drawn.settings,
        "cost": {
            "nfe": drawn.nfe,
            "sampling_seconds": round(drawn.seconds, 3),
            "metrics_seconds": round(time.perf_counter() - began, 3),
            "threads": torch.get_num_threads(),
        },
    }


def write_result(
    found: dict[str, Any], closest: bytes | None, asked: Evaluate, run: RunDirectory | None
) -> None:
    """Write the result into ``run`` and its report, if there is one, and to ``asked.out``.

    The picture of the closest pairs lies beside it, under its name with ``-closest.png``.

    Raises:
        UnsavedResultError: if that cannot be done; see `kept`.
    """
    text = (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()

    def save(folder: Path) -> None:
        write_file(folder / "evaluation.json", text)
        if closest is not None:
            write_file(folder / "evaluation-closest.png", closest)

    with kept(found, save):
        if asked.out is not None:
            out = Path(asked.out)
            write_output(out, text)
            if closest is not None:
                write_output(out.with_name(f"{out.stem}-closest.png"), closest)
        if run is not None:
            name = file_name(asked, found)
            run.write_bytes(f"evaluation/{name}", text)
            if closest is not None:
                stem = name.removesuffix(".json")
                run.write_bytes(f"evaluation/{stem}-closest.png", closest)
            refresh(run.path)


def file_name(asked: Evaluate, found: dict[str, Any]) -> str:
    """Name of a run's result: what tells it from the others, so that none is overwritten by it."""
    space = found["features"]["name"].replace("@", "-").replace("/", "-")
    settings = found["sampling"]
    steps = f"{settings.get('sampler', '')}-{settings.get('steps', '')}"
    against = asked.against
    other = against.fingerprint if isinstance(against, Subject) else against
    rest = [settings, asked.reference_n, asked.ema, asked.weights, asked.metrics, other]
    rest.append(found["reference"]["fingerprint"])
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()[:6]
    pair = "-against" if against else ""
    split = found["reference"]["split"]
    return f"{space}-{split}-{steps}-{asked.n}-{asked.seed}-{digest}{pair}.json"
