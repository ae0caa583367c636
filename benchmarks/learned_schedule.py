"""Learned few-step samplers on one model: how near to the fine solution, how good, how long.

    python benchmarks/learned_schedule.py RUN --data FOLDER

The pipeline of RUN, a class-conditional model of Fashion-MNIST, is copied, tuned by
``undrift tune-sampler`` in a process of its own, and then held, on a seed of its own, against

- the fine solution from the same noise, in 200 evaluations: root mean square difference in grey
  levels, beside that of the best classical sampler on the best fixed grid, as the tuning found it;
- the test images, by FD in the domain features: the learned samplers, the fixed ones of the same
  number of evaluations, and samplers of 50 evaluations.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import data_folder
from record import conditions, warn_if_busy, write

import undrift
from undrift.pipelines import DiffusionPipeline

TARGETS = {10: 1.10, 6: 1.35, 5: 1.60}
"""FD at so few evaluations over the best at 50, to reach."""

REDUCTION = 0.30
SECONDS = 300
FULL = 50
_RESAMPLES = 4000


def main() -> None:
    """Tune, measure, print a table, write a JSON."""
    options = _options()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    result = conditions() | {"n": options.n, "seed": options.seed, "steps": options.steps}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        model = work / "pipeline"
        if not model.exists():
            shutil.copytree(Path(options.run) / "pipeline", model)
        result["tuning"] = tuned = _tune(model, work, options)
        pipeline = DiffusionPipeline.from_pretrained(model)
        names = {row["steps"]: row["fixed"]["sampler"].split(" on ") for row in tuned["rows"]}
        result["differences"] = [
            _difference(pipeline, steps, *names[steps], options) for steps in options.steps
        ]
        for row in result["differences"]:
            print(row, flush=True)
        result["fd"] = _quality(model, names, options)
    result["summary"] = summarise(result)
    print(json.dumps(result["summary"], indent=1))
    print("wrote", write("learned-schedule", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="a finished run on Fashion-MNIST")
    parser.add_argument("--steps", nargs="+", type=int, default=[5, 6, 8, 10])
    parser.add_argument("--samples", type=int, default=128, help="images to tune on")
    parser.add_argument("-n", type=int, default=2000, help="samples for the FD")
    parser.add_argument("--images", type=int, default=256, help="images for the differences")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument(
        "--full", nargs="+", default=["dpmpp_2m@karras", "dpmpp_2m@karras:7", "dpmpp_3m@karras:7"],
        help=f"samplers of {FULL} evaluations, SAMPLER@GRID",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="folder with fashion_mnist; default $UNDRIFT_DATA")
    parser.add_argument("--work", help="folder to keep the tuned pipeline in; default none")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


def _tune(model: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Tune in a process of its own, unless ``--work`` holds the result already."""
    found = work / "tune-sampler.json"
    if not found.exists():
        command = [sys.executable, "-m", "undrift", "tune-sampler", str(model), "--steps"]
        command += [",".join(map(str, options.steps)), "--samples", str(options.samples)]
        command += ["--threads", str(options.threads), "--out", str(found)]
        load, began = os.getloadavg()[0], time.perf_counter()
        before = os.times()
        subprocess.run(command, check=True)
        after = os.times()
        result = json.loads(found.read_text())
        result |= {
            "target": model.name,
            "wall_seconds_of_the_command": round(time.perf_counter() - began, 1),
            "processor_seconds": round(
                after.children_user + after.children_system
                - before.children_user - before.children_system, 1
            ),
            "load_before": round(load, 2),
        }  # fmt: skip
        found.write_text(json.dumps(result, indent=1) + "\n")
    return json.loads(found.read_text())


def _difference(
    pipeline: DiffusionPipeline, steps: int, sampler: str, grid: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Mean over images of the root mean square difference from the fine solution, in levels."""

    def drawn(**asked: Any) -> np.ndarray:
        made = pipeline(options.images, seed=options.seed, **asked)
        return made.images.reshape(options.images, -1).astype(float)

    if not hasattr(_difference, "fine"):
        _difference.fine = drawn(steps=200, sampler="dpmpp_2m", grid="karras:7")
    fine = _difference.fine
    learned = np.sqrt(((drawn(steps=steps) - fine) ** 2).mean(1))
    fixed = np.sqrt(((drawn(steps=steps, sampler=sampler, grid=grid) - fine) ** 2).mean(1))
    rows = np.random.default_rng(steps).integers(0, len(fine), (_RESAMPLES, len(fine)))
    ratios = 1 - learned[rows].mean(1) / fixed[rows].mean(1)
    return {
        "steps": steps,
        "fixed": f"{sampler} on {grid}",
        "fixed_levels": round(float(fixed.mean()), 3),
        "learned_levels": round(float(learned.mean()), 3),
        "reduction": round(float(1 - learned.mean() / fixed.mean()), 4),
        "interval": [round(float(q), 4) for q in np.quantile(ratios, [0.025, 0.975])],
    }


def _quality(
    model: Path, names: dict[int, list[str]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    asked: list[tuple[str, int, dict[str, Any]]] = []
    asked += [("learned", steps, {}) for steps in options.steps]
    others = [(FULL, *name.split("@")) for name in options.full]
    others += [(steps, *names[steps]) for steps in options.steps]
    for steps, sampler, grid in others:
        asked.append((f"{sampler} on {grid}", steps, {"sampler": sampler, "grid": grid}))
    rows = []
    for name, steps, how in asked:
        found = undrift.evaluate(
            Path(options.run) / "pipeline" if how else model,
            reference=data_folder(options.data) / "fashion_mnist",
            n=options.n,
            metrics=("fd",),
            seed=options.seed,
            steps=steps,
            **how,
        )
        record = found["metrics"]["fd"]
        rows.append(
            {"sampler": name, "nfe": found["cost"]["nfe"]}
            | {key: round(record[key], 4) for key in ("value", "low", "high", "floor")}
        )
        print(rows[-1], flush=True)
    return rows


def summarise(result: dict[str, Any]) -> dict[str, Any]:
    """What was wanted, and what was reached."""
    full = min(row["value"] for row in result["fd"] if row["nfe"] == FULL)
    fd = {row["nfe"]: row["value"] for row in result["fd"] if row["sampler"] == "learned"}
    return {
        "best_fd_at_50": full,
        "fd_over_best_at_50": {
            str(steps): {"measured": round(fd[steps] / full, 3), "to_reach": TARGETS.get(steps)}
            for steps in result["steps"]
        },
        "reduction": {
            str(row["steps"]): {"measured": row["reduction"], "to_reach": REDUCTION}
            for row in result["differences"]
        },
        "seconds": {"measured": result["tuning"]["seconds"], "to_reach": SECONDS},
    }


if __name__ == "__main__":
    main()
