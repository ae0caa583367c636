"""Bits per dimension of Fashion-MNIST: the likelihood recipe beside four models without a network.

    python benchmarks/likelihood_fashion.py --budget 45m          # trains, then scores
    python benchmarks/likelihood_fashion.py --run RUN             # scores a run that is there

All score the same 1,000 test images; baselines are fitted on the training split, and what smooths
them is chosen on the validation split. The model is class-conditional and scores given the label;
so does the strongest baseline, a histogram per pixel and class. The ODE is scored on fewer images
(--ode-n): each costs about seven times as much as by the bound, which is scored on them as well, so
that the two are compared image by image.
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
from baseline_likelihood import FIT_SHARE, fit_logistics, widened
from record import conditions, warn_if_busy, write

import undrift
import undrift.data
from undrift.evaluation.likelihood.images import ScoredImages, open_images
from undrift.evaluation.target import open_target
from undrift.likelihood import ValueGrid
from undrift.likelihood.histogram import counted, log_likelihood, smoothed
from undrift.schema import to_plain

DATA = Path(os.environ.get("UNDRIFT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", default="45m")
    parser.add_argument("--run", help="score this run instead of training one")
    parser.add_argument("--out-run", default="runs/likelihood-fashion")
    parser.add_argument("--data", default=str(DATA / "fashion_mnist"))
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--points", type=int, default=64, help="of the bound, and of the ODE")
    parser.add_argument("--ode-n", type=int, default=200, help="images of the ODE")
    parser.add_argument("--fit-steps", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    warn_if_busy()
    run = options.run
    if run is None:
        run = str(train(options))
    images = open_images(open_target(run), options.data, "test", options.n, None, 0)
    rows = baselines(options, images)
    common: dict[str, Any] = {"split": "test", "seed": 0, "points": options.points}
    whole = scored(run, options, method="elbo", n=options.n, **common)
    rows["bound"] = whole["methods"]["elbo"]
    fewer = scored(run, options, method="both", n=min(options.ode_n, options.n), **common)
    rows["ode"] = fewer["methods"]["ode"]
    best = min(row["low"] for name, row in rows.items() if name not in ("bound", "ode"))
    path = write(
        "likelihood-fashion",
        {
            "conditions": conditions(),
            "images": {"split": "test", "count": len(images.images), "levels": images.value_levels},
            "training": history(Path(run)),
            "rows": rows,
            "gap": fewer["gap"],
            "beats_baselines": rows["bound"]["high"] < best,
        },
        options.out,
    )
    for name, row in rows.items():
        print(f"{name:26} {row['bits_per_dim']:.4f}  +- {row['standard_error']:.4f} bits/dim")
    gap = fewer["gap"]
    print(f"ode - bound, same images   {gap['value']:.4f}  +- {gap['standard_error']:.4f} bits/dim")
    print(f"wrote {path}")


def train(options: argparse.Namespace) -> Path:
    made = undrift.train(
        options.data,
        recipe="likelihood",
        budget=options.budget,
        out=options.out_run,
        threads=options.threads,
    )
    return made.directory


def scored(run: str, options: argparse.Namespace, **settings: Any) -> dict[str, Any]:
    """What `undrift.bits_per_dim` finds, with images per second beside."""
    found = to_plain(undrift.bits_per_dim(run, options.data, **settings))
    for record in found["methods"].values():
        record["images_per_second"] = round(record["n"] / record["seconds"], 2)
        words = f"{record['images_per_second']} images/s"
        print(f"{record['protocol']}: {record['bits_per_dim']:.4f}, {words}", flush=True)
    return found


def baselines(options: argparse.Namespace, images: ScoredImages) -> dict[str, dict[str, Any]]:
    """Bits per dimension of the scored images under each model without a network."""
    data = undrift.data.load(options.data)
    grid = ValueGrid(images.value_levels)
    training, validation, test = (data.split(name) for name in ("train", "validation", "test"))
    seen, smoothing = (level_rows(grid, part.images) for part in (training, validation))
    held_out = level_rows(grid, images.images)
    began = time.perf_counter()
    counts = counted(seen, grid.count)
    table, pseudo = smoothed(counts, smoothing)
    rows = {"histogram": entry(log_likelihood(table, held_out), held_out, f"pseudo-count {pseudo}")}
    if training.labels is not None and validation.labels is not None and test.labels is not None:
        classes = range(len(data.class_names))
        given = torch.stack([counted(seen[training.labels == k], grid.count) for k in classes])
        table, pseudo = smoothed(given, smoothing, validation.labels)
        labels = test.labels[images.numbers]
        found = log_likelihood(table, held_out, labels)
        rows["histogram given the label"] = entry(found, held_out, f"pseudo-count {pseudo}")
    ends = grid.edges[0][1:]
    for name, components in (("discretised logistic", 1), ("mixture", 5)):
        fitted = fit_logistics(counts, grid.values, ends, components, options.fit_steps)
        table, share = widened(fitted, smoothing)
        words = (
            f"{components} discretised logistics per pixel, {options.fit_steps} steps of Adam "
            f"beside a uniform share of {FIT_SHARE}, of {share} when scored"
        )
        rows[name] = entry(log_likelihood(table, held_out), held_out, words)
    for name, row in rows.items():
        print(f"{name}: {row['bits_per_dim']:.4f}", flush=True)
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
