"""What a benchmark ran on, and where its result goes."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from undrift.metrics.estimate import Estimate
from undrift.runs.training_facts import training_facts

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("undrift", "torch", "numpy", "azula", "diffusers")


def conditions() -> dict[str, Any]:
    """Command, versions and machine, without naming the machine."""
    # of a path only its name: where a run lay says nothing to others
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return {
        "command": shlex.join(["python", "benchmarks/" + Path(sys.argv[0]).name, *words]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(name: str, content: dict[str, Any], out: str | None = None) -> Path:
    """Write a result as JSON to ``out``, by default to ``benchmarks/results/<name>.json``."""
    path = Path(out) if out else RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def trained(run: Path, train: Callable[[], object]) -> dict[str, float | None]:
    """Train ``run`` unless it is finished, and return what it cost.

    ``seconds`` are of wall clock, by the run's own events, over all processes that worked on it;
    ``processor_seconds`` of this process, None where another one worked on it.
    """
    begun, before = run.exists(), time.process_time()
    if not (run / "pipeline").exists():
        train()
    spent = time.process_time() - before
    return {
        "processor_seconds": None if begun else round(spent, 1),
        "seconds": round(training_facts(run).seconds, 1),
    }


def rounded(found: Estimate, value: str = "value") -> dict[str, float]:
    """An estimate and its interval, to four digits; ``value`` names the estimate."""
    return {
        value: round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
    }


def warn_if_busy() -> None:
    """Say it where other work runs beside: two busy threads can cost a factor of ten."""
    load = os.getloadavg()[0]
    if load > 0.3:
        print(
            f"warning: load {load:.1f} before the start; timings want a quiet machine", flush=True
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
