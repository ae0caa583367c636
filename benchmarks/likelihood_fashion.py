"""Bits per dimension of Fashion-MNIST: the likelihood recipe beside two models without a network.

    python benchmarks/likelihood_fashion.py --budget 45m          # trains, then scores
    python benchmarks/likelihood_fashion.py --run RUN             # scores a run that is there

All score the same 1,000 test images; baselines are fitted on the training split, and the smoothing
of the histogram is chosen on the validation split. The model is class-conditional: its figure is
given the label, which costs an unconditional coder log2(10) / 784 = 0.004 bits/dim at most.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline_likelihood import categorical, fit_logistics, log_likelihood, smoothed
from record import conditions, warn_if_busy, write

import undrift
import undrift.data
from undrift.experiments.evaluation.subject import open_subject
from undrift.experiments.likelihood.images import ScoredImages, open_images
from undrift.likelihood import ValueGrid

DATA = Path(os.environ.get("UNDRIFT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", default="45m")
    parser.add_argument("--run", help="score this run instead of training one")
    parser.add_argument("--out-run", default="runs/likelihood-fashion")
    parser.add_argument("--data", default=str(DATA / "fashion_mnist"))
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--points", type=int, default=64, help="levels per image of the bound")
    parser.add_argument("--ode-points", type=int, default=64)
    parser.add_argument("--ode-n", type=int, help="images of the ODE, if fewer")
    parser.add_argument("--fit-steps", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    warn_if_busy()
    run = asked.run
    if run is None:
        run = str(train(asked))
    images = open_images(open_subject(run), asked.data, "test", asked.n, None, 0)
    rows = baselines(asked, images)
    common: dict[str, Any] = {"split": "test", "seed": 0}
    rows["bound"] = scored(run, asked, method="elbo", n=asked.n, points=asked.points, **common)
    rows["ode"] = scored(
        run, asked, method="ode", n=asked.ode_n or asked.n, points=asked.ode_points, **common
    )
    best = min(rows[name]["low"] for name in ("discretised logistic", "mixture", "histogram"))
    path = write(
        "likelihood-fashion",
        {
            "conditions": conditions(),
            "images": {"split": "test", "count": len(images.images), "levels": images.value_levels},
            "training": history(Path(run)),
            "rows": rows,
            "beats_baselines": rows["bound"]["high"] < best,
        },
        asked.out,
    )
    for name, row in rows.items():
        print(f"{name:22} {row['bits_per_dim']:.4f}  +- {row['standard_error']:.4f} bits/dim")
    print(f"wrote {path}")


def train(asked: argparse.Namespace) -> Path:
    made = undrift.train(
        asked.data,
        recipe="likelihood",
        budget=asked.budget,
        out=asked.out_run,
        threads=asked.threads,
    )
    return made.directory


def scored(run: str, asked: argparse.Namespace, **settings: Any) -> dict[str, Any]:
    found = undrift.bits_per_dim(run, asked.data, **settings)
    (record,) = found["methods"].values()
    print(record["protocol"], f"{record['bits_per_dim']:.4f}", flush=True)
    return record


def baselines(asked: argparse.Namespace, images: ScoredImages) -> dict[str, dict[str, Any]]:
    data = undrift.data.load(asked.data)
    grid = ValueGrid(images.value_levels)
    training, validation = (
        level_rows(grid, data.split(name).images) for name in ("train", "validation")
    )
    held_out = level_rows(grid, images.images)
    began = time.perf_counter()
    counts = categorical(training, grid.count)
    table, pseudo = smoothed(counts, validation)
    rows = {"histogram": entry(log_likelihood(table, held_out), held_out, f"pseudo-count {pseudo}")}
    for name, components in (("discretised logistic", 1), ("mixture", 5)):
        fitted = fit_logistics(counts, grid.values, grid.edges, components, asked.fit_steps)
        told = f"{components} discretised logistics per pixel, {asked.fit_steps} steps of Adam"
        rows[name] = entry(log_likelihood(fitted, held_out), held_out, told)
        print(f"{name}: {rows[name]['bits_per_dim']:.4f}", flush=True)
    print(f"baselines fitted in {time.perf_counter() - began:.0f} s", flush=True)
    return rows


def level_rows(grid: ValueGrid, images: np.ndarray) -> np.ndarray:
    flat = torch.from_numpy(np.ascontiguousarray(images)).flatten(1)
    return grid.index(flat).numpy()


def entry(log_p: torch.Tensor, images: np.ndarray, protocol: str) -> dict[str, Any]:
    bits = (-log_p / (images.shape[1] * math.log(2))).numpy()
    mean, error = float(bits.mean()), float(bits.std(ddof=1)) / math.sqrt(len(bits))
    return {
        "bits_per_dim": mean,
        "standard_error": error,
        "low": mean - 1.96 * error,
        "high": mean + 1.96 * error,
        "n": len(bits),
        "protocol": protocol,
    }


def history(run: Path) -> dict[str, Any]:
    """What the run's log says of its length and its validation."""
    import json

    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    looks = [e for e in events if e["event"] == "validation" and e["weights"] == "ema"]
    trained = [e for e in events if e["event"] == "train"]
    return {
        "images": trained[-1]["images"] if trained else None,
        "seconds": round(trained[-1]["time"] - events[0]["time"]) if trained else None,
        "validation": [
            {"images": e["images"], "bits_per_dim": round(e["bits_per_dim"], 4)} for e in looks
        ],
    }


if __name__ == "__main__":
    main()
