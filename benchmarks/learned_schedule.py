"""Learned few-step samplers on one model: how near to the fine solution, and how long it takes.

    python benchmarks/learned_schedule.py RUN --work FOLDER

The pipeline of RUN is copied into FOLDER, tuned by ``undrift tune-sampler`` in a process of its
own, with the images that the run was trained on to fit the last step to, and then held, on a seed
of its own, against the fine solution from the same noise, in 200 evaluations: root mean square
difference in grey levels, beside that of the best classical sampler on the best fixed grid, as the
tuning found it. ``benchmarks/solver_table.py FOLDER/pipeline`` measures their images.
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
from record import conditions, warn_if_busy, write

from undrift.pipelines import DiffusionPipeline
from undrift.runs import configuration

REDUCTION = 0.30
SECONDS = 300
_RESAMPLES = 4000


def main() -> None:
    """Tune, measure, print a table, write a JSON."""
    options = _options()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    result = conditions() | {
        "images": options.images,
        "seed": options.seed,
        "steps": options.steps,
    }
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        model = work / "pipeline"
        if not model.exists():
            shutil.copytree(Path(options.run) / "pipeline", model)
        result["tuning"] = tuned = _tune(model, work, options)
        pipeline = DiffusionPipeline.from_pretrained(model)
        names = {row["steps"]: row["fixed"]["sampler"].split(" on ") for row in tuned["rows"]}
        fine = _drawn(pipeline, options, steps=200, sampler="dpmpp_2m", grid="karras:7")
        result["differences"] = [
            _difference(pipeline, fine, steps, *names[steps], options) for steps in options.steps
        ]
        for row in result["differences"]:
            print(row, flush=True)
    result["summary"] = summarise(result)
    print(json.dumps(result["summary"], indent=1))
    print("wrote", write("learned-schedule", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="a finished run")
    parser.add_argument("--steps", nargs="+", type=int, default=[4, 5, 6, 8, 10])
    parser.add_argument("--samples", type=int, default=128, help="images to tune on")
    parser.add_argument("--images", type=int, default=256, help="images for the differences")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="folder to keep the tuned pipeline in; default none")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


def _tune(model: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Tune in a process of its own, unless ``--work`` holds the result already."""
    found = work / "tune-sampler.json"
    if not found.exists():
        source = configuration.load(Path(options.run) / "config.yaml").data.source
        command = [sys.executable, "-m", "undrift", "tune-sampler", str(model), "--steps"]
        command += [",".join(map(str, options.steps)), "--samples", str(options.samples)]
        command += ["--threads", str(options.threads), "--out", str(found)]
        command += ["--reference", source]
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


def _drawn(pipeline: DiffusionPipeline, options: argparse.Namespace, **settings: Any) -> np.ndarray:
    """Images as rows of levels, float64."""
    made = pipeline(options.images, seed=options.seed, **settings)
    return made.images.reshape(options.images, -1).astype(float)


def _difference(
    pipeline: DiffusionPipeline,
    fine: np.ndarray,
    steps: int,
    sampler: str,
    grid: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Mean over images of the root mean square difference from the fine solution, in levels."""

    def levels(**settings: Any) -> np.ndarray:
        return np.sqrt(((_drawn(pipeline, options, **settings) - fine) ** 2).mean(1))

    learned, fixed = levels(steps=steps), levels(steps=steps, sampler=sampler, grid=grid)
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


def summarise(result: dict[str, Any]) -> dict[str, Any]:
    """What was wanted, and what was reached."""
    return {
        "reduction": {
            str(row["steps"]): {"measured": row["reduction"], "to_reach": REDUCTION}
            for row in result["differences"]
        },
        "seconds": {
            "measured": result["tuning"]["wall_seconds_of_the_command"],
            "to_reach": SECONDS,
        },
    }


if __name__ == "__main__":
    main()
