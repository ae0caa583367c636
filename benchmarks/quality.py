"""Quality after a fixed training time: undrift against its peers, in one feature space.

    python benchmarks/quality.py digits             60 s of training, 1,000 samples, 3 seeds
    python benchmarks/quality.py fashion           300 s of training, 2,000 samples, 3 seeds

Four arms, each trained and sampled in a process of its own, taking turns seed by seed:

- ``undrift``: ``undrift train NPZ --budget T --holdout 0`` and ``undrift sample``, 20 network
  evaluations of dpmpp_2m: 20 steps on the digits; on Fashion-MNIST 10 steps with guidance 1.3,
  which costs two evaluations each. ``undrift-unguided`` is the same model at 20 steps without
  guidance. Its clock covers probe, training, grids and checkpoints.
- ``azula``: azula's MNIST tutorial recipe as documented, DDIM in 64 steps; the clock covers
  training only.
- ``azula-tuned``: the same given our decay and EMA, with a learning rate to match.
- ``diffusers``: its course recipe, DPMSolverMultistepScheduler in 50 steps; same clock as azula.

All samples are measured by ``undrift.metrics.measure``: 64 features of a small classifier
trained on the training half; Frechet distance, label accuracy and coverage against the held-out
half; copies by nearest training image. ``floor`` is the same with real training images in place of
samples. Needs ``benchmarks/setup_peers.sh`` once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import DATASETS, Half, halves
from record import conditions, warn_if_busy, write

from undrift.metrics import Comparison, Images, measure, open_spaces

HERE = Path(__file__).resolve().parent
ARMS = ("undrift", "azula", "azula-tuned", "diffusers")
TUNED = ("--lr", "1e-3", "--decay", "0.6", "--ema", "0.1")
BUDGET = {"digits": 60, "fashion": 300}
SAMPLING = {
    "digits": {"undrift": ()},
    "fashion": {"undrift": ("--steps", "10", "--guidance", "1.3"), "undrift-unguided": ()},
}
"""Flags of ``undrift sample`` by the name that their row gets."""

MEASURED = ("fd", "label_accuracy", "coverage", "memorization")

COUNT = {"digits": 1000, "fashion": 2000}
TARGET = {"digits": 0.15, "fashion": 0.18}


def main() -> None:
    """Run the arms, measure their samples, print a table, write a JSON."""
    options = _options()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    seconds = options.seconds or BUDGET[options.dataset]
    count = options.n or COUNT[options.dataset]
    result = conditions() | {"dataset": options.dataset, "seconds": seconds, "n": count}
    training, held_out = halves(options.dataset, options.data)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        source = training.write(work / f"{options.dataset}.npz")
        for seed in options.seeds:
            for arm in options.arms:
                made = _make(arm, source, work / f"{arm}-{seed}", seed, seconds, count, options)
                for row, (samples, cost) in made.items():
                    found = _judge(samples, training, held_out)
                    runs.append({"arm": row, "seed": seed, "cost": cost} | found)
                    print(_line(runs[-1]), flush=True)
    summary = summarise(runs)
    result |= {"runs": runs, "summary": summary}
    _print_summary(summary, TARGET[options.dataset])
    print("wrote", write(f"quality-{options.dataset}", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, help="training time; default 60 or 300")
    parser.add_argument("-n", type=int, help="samples; default 1,000 or 2,000")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="folder with fashion_mnist; default $UNDRIFT_DATA")
    parser.add_argument("--work", help="folder to keep runs and samples in; default none")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


def _make(
    arm: str,
    source: Path,
    run: Path,
    seed: int,
    seconds: float,
    count: int,
    options: argparse.Namespace,
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Train and sample one arm; returns by row its samples and what they cost."""
    if arm == "undrift":
        return _undrift(source, run, seed, seconds, count, options)
    samples = run.with_suffix(".npz")
    recipe = HERE / "peers" / f"{arm.removesuffix('-tuned')}_recipe.py"
    command = [sys.executable, str(recipe), "--data", str(source)]
    command += ["--out", str(samples), "--seconds", str(seconds), "-n", str(count)]
    command += ["--seed", str(seed), "--threads", str(options.threads)]
    output = _run(command + (list(TUNED) if arm == "azula-tuned" else []))
    cost = json.loads(output.splitlines()[-1])
    cost["options"] = {k: v for k, v in cost["options"].items() if k not in ("data", "out")}
    return {arm: (samples, cost)}


def _undrift(
    source: Path, run: Path, seed: int, seconds: float, count: int, options: argparse.Namespace
) -> dict[str, tuple[Path, dict[str, Any]]]:
    undrift = [sys.executable, "-m", "undrift"]
    train = ["train", str(source), "--budget", f"{seconds:g}s", "--holdout", "0"]
    train += ["--seed", str(seed), "--threads", str(options.threads), "--out", str(run)]
    began = time.perf_counter()
    _run([*undrift, *train])
    whole = time.perf_counter() - began
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "train"][-1]
    started = [event for event in events if event["event"] == "start"][0]
    cost = {
        "peer": "undrift",
        "images": last["images"],
        "steps": last["step"],
        "seconds": round(_elapsed(started, events), 2),
        "wall_seconds_of_the_command": round(whole, 2),
        "images_per_second": last["images_per_second"],
    }
    rows = {}
    for row, flags in SAMPLING[options.dataset].items():
        samples, folder = run.with_name(f"{row}-{seed}.npz"), run.with_name(f"{row}-{seed}-images")
        sample = ["sample", str(run), "-n", str(count), "--labels", "all", "--seed", str(seed)]
        _run([*undrift, *sample, *flags, "--npz", str(samples), "--out", str(folder)])
        drawn = json.loads((folder / "samples.json").read_text())
        sampling = {"flags": list(flags), "nfe": drawn["nfe"]}
        rows[row] = samples, cost | sampling | {"sampling_seconds": round(drawn["seconds"], 2)}
    return rows


def _elapsed(started: dict[str, Any], events: list[dict[str, Any]]) -> float:
    """Seconds from the first step to the last event of training."""
    return float(events[-1]["time"]) - float(started["time"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed ({done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout


def _judge(samples: Path, training: Half, held_out: Half) -> dict[str, Any]:
    made = np.load(samples)
    images, real, seen = (
        Images(part.images, part.labels)
        for part in (Half(made["images"], made["labels"]), held_out, training)
    )
    extractor, classifier = open_spaces(seen)
    names = tuple(str(k) for k in range(int(seen.labels.max()) + 1))
    comparison = Comparison(images, real, seen, extractor, classifier, names, 0, "test")
    found = measure(comparison, MEASURED)
    measured = found.metrics
    count = min(len(seen), len(images))
    trained = Images(seen.images[:count], None if seen.labels is None else seen.labels[:count])
    floors = {
        name: one.value
        for name, one in measure(replace(comparison, samples=trained), MEASURED).metrics.items()
    } | {"memorization": measured["memorization"].floor}  # training images are copies
    return {
        "protocol": found.protocol,
        "metrics": {
            name: {key: getattr(measured[name], key) for key in ("value", "low", "high")}
            | {"floor": floors[name]}
            for name in MEASURED
        },
    }


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over seeds per arm, and (FD - floor) relative to azula's as documented."""
    summary: dict[str, Any] = {}
    for arm in dict.fromkeys(run["arm"] for run in runs):
        mine = [run for run in runs if run["arm"] == arm]
        row: dict[str, Any] = {"seeds": [run["seed"] for run in mine]}
        for name in MEASURED:
            row[name] = _median(run["metrics"][name]["value"] for run in mine)
            row[f"{name}_floor"] = _median(run["metrics"][name]["floor"] for run in mine)
            row[f"{name}_all"] = [round(run["metrics"][name]["value"], 4) for run in mine]
        row["above_floor"] = _median(
            run["metrics"]["fd"]["value"] - run["metrics"]["fd"]["floor"] for run in mine
        )
        row["images"] = _median(run["cost"]["images"] for run in mine)
        row["sampling_seconds"] = _median(run["cost"]["sampling_seconds"] for run in mine)
        summary[arm] = row
    if "azula" in summary:
        for row in summary.values():
            row["ratio_to_azula"] = row["above_floor"] / summary["azula"]["above_floor"]
    return summary


def _median(values: Any) -> float:
    return float(statistics.median(values))


def _line(run: dict[str, Any]) -> str:
    found = {name: record["value"] for name, record in run["metrics"].items()}
    return (
        f"{run['arm']:16} seed {run['seed']}  FD {found['fd']:.3f} "
        f"(floor {run['metrics']['fd']['floor']:.3f})  accuracy {found['label_accuracy']:.3f}  "
        f"coverage {found['coverage']:.3f}  copies {found['memorization']:.3f}  "
        f"{run['cost']['images']} images"
    )


def _print_summary(summary: dict[str, Any], target: float) -> None:
    print(
        "\narm               FD      FD-floor  ratio   accuracy (real)   coverage (real)   copies"
    )
    for arm, row in summary.items():
        ratio = row.get("ratio_to_azula")
        print(
            f"{arm:16}  {row['fd']:6.3f}  {row['above_floor']:6.3f}    "
            f"{'-' if ratio is None else f'{ratio:.3f}':6}  "
            f"{row['label_accuracy']:.3f} ({row['label_accuracy_floor']:.3f})     "
            f"{row['coverage']:.3f} ({row['coverage_floor']:.3f})     {row['memorization']:.3f}"
        )
    print(f"to reach: undrift's ratio at most {target}")


if __name__ == "__main__":
    main()
