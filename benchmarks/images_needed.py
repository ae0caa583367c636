"""Training images that the default recipe needs, by size, channels and variety of the images.

    python benchmarks/images_needed.py measure [--only emoji-32 ...] [--minutes 60] --work FOLDER
    python benchmarks/images_needed.py fit

``measure`` trains the default recipe on several data sets and sizes, for 2,500, 10,000, ... images
seen, each a run of its own with its whole learning-rate schedule. Its samples are judged as
`undrift train` judges them (`undrift.experiments.report.sensitivity`): "early" while they are no
better than grossly corrupted real images, "learning" while they are no better than real images with
visible noise, "learnt" afterwards. A set ends when its samples are learnt and no Frechet distance
is above twice that of real images, or at its largest length. Every run is stored when it is done:
the same command goes on where it was stopped, and ``--minutes`` stops it.

``fit`` fits the rule of `undrift.runs.expectation` to the sets that are not held out, prints what
it predicts of all of them, and writes `src/undrift/runs/images_needed.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import CIFAR10, data_folder
from record import RESULTS, conditions, write

import undrift
import undrift.data
from undrift.experiments.closing import view
from undrift.experiments.report.sensitivity import with_samples
from undrift.experiments.report.verdict import Verdict
from undrift.metrics import Comparison, Images, open_spaces, with_sensitivity
from undrift.metrics import measure as measure_metrics
from undrift.metrics.variety import effective_dimensions
from undrift.runs.learners import build_learner
from undrift.runs.recipes import resolve
from undrift.runs.settings import TrainSettings
from undrift.training.distributed import World
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

LENGTHS = (2_500, 10_000, 40_000, 160_000)
"""Images seen of the runs of a set."""

MOST_IMAGES = 5_000
"""Different images of a set."""

HELD_OUT = 0.15
STEPS = 10
SAMPLES = 250
DISTANCES = ("fd", "texture_fd")
CLOSE = 2.0
"""Samples are good when no Frechet distance is above that of real images times this."""

RESULT = "images-needed"


@dataclass(frozen=True)
class Set:
    """One data set at one size.

    Attributes:
        source: within the folder with the data sets, or a built-in name.
        size: side in pixels; None as the images are.
        longest: images seen of the longest run: what an hour of one core allows.
        held_out: whether it is only predicted.
    """

    source: str
    size: int | None
    longest: int
    held_out: bool = False


SETS = {
    "digits-8": Set("digits", None, 160_000),
    "emoji-16": Set("emoji", 16, 160_000),
    "nuclei-16": Set("nuclei", 16, 160_000),
    "clothing-16": Set("clothing/train", 16, 160_000),
    "cifar-16": Set(str(CIFAR10), 16, 160_000),
    "fashion-28": Set("fashion_mnist", None, 160_000),
    "nuclei-32": Set("nuclei", 32, 40_000),
    "emoji-32": Set("emoji", 32, 40_000),
    "mnist-28": Set("mnist", None, 160_000, held_out=True),
    "clothing-32": Set("clothing/train", 32, 40_000),
    "cifar-32": Set(str(CIFAR10), 32, 40_000),
    "nuclei-48": Set("nuclei", 48, 40_000, held_out=True),
    "emoji-64": Set("emoji", 64, 10_000),
    "clothing-64": Set("clothing/train", 64, 10_000),
}
"""In the order of measuring: what is cheap first, and what is only predicted last."""


def main() -> None:
    """Measure, or fit."""
    options = _options()
    if options.verb == "measure":
        measure(options)
    else:
        raise SystemExit("not yet")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("measure", "fit"))
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after these")
    parser.add_argument("--most", type=int, default=LENGTHS[-1], help="images seen, at most")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--data", help="folder with the data sets; default $UNDRIFT_DATA")
    parser.add_argument("--work", type=Path, help="folder for data and runs")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{RESULT}.json")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Train and judge what has not been, until the time is up."""
    if options.work is None:
        raise SystemExit("measure needs --work FOLDER for data and runs")
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    began = time.monotonic()
    result = _stored(options.out)
    # by length first: every set has its short runs when the time is up
    for length in LENGTHS:
        for name in options.only:
            rows = result["sets"].setdefault(name, {})
            if length > min(SETS[name].longest, options.most) or _is_done(rows, length):
                continue
            if time.monotonic() - began > 60 * options.minutes:
                return
            row = _measured(name, length, options)
            rows[str(length)] = row
            write(RESULT, result | {"conditions": conditions()}, str(options.out))
            print(
                f"{name}: {length:,} images seen, {row['state']}, "
                f"{row['distance']:.2f} times the distance of real images; "
                f"{row['seconds']:.0f} s to train, {row['judging_seconds']:.0f} s to judge",
                flush=True,
            )


def _stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {"sets": {}}


def _is_done(rows: dict[str, Any], length: int) -> bool:
    """Whether a run of ``length`` images was made or is not needed: a shorter one was good."""
    return str(length) in rows or any(
        is_good(row) for seen, row in rows.items() if int(seen) < length
    )


def is_good(row: dict[str, Any]) -> bool:
    """Whether samples are as good as samples of this many images can be told from real ones."""
    return row["state"] == "learnt" and row["distance"] <= CLOSE


def _measured(name: str, length: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a new model on ``length`` images and judge its samples."""
    source = _prepared(name, options)
    began = time.monotonic()
    data = undrift.data.load(source, holdout=HELD_OUT)
    settings = TrainSettings(images=length, holdout=HELD_OUT, threads=1)
    config = resolve(str(source), settings, data, device="cpu")
    learner = build_learner(config, "cpu")
    plan = config.training
    trainer = Trainer(learner, plan, data.split("train"), world=World(0, 1, 0, torch.device("cpu")))
    trainer.run(StopSignals())
    trained = time.monotonic() - began
    pipeline = learner.pipeline(trainer.ema.weights(plan.ema[0]))
    samples = pipeline(options.samples, seed=0, steps=STEPS)
    training = view(data.split("train"))
    held_out = view(data.split("validation"))
    features, _ = open_spaces(training, "random", classify=False)
    comparison = Comparison(
        Images(samples.images), held_out, training, features, None, (), 0, "validation"
    )
    evaluation = with_sensitivity(measure_metrics(comparison, DISTANCES), comparison)
    judged = with_samples(Verdict("learnt", ""), evaluation)
    distances = {
        metric: {part: evaluation["metrics"][metric][part] for part in ("value", "low", "floor")}
        for metric in DISTANCES
    }
    height, width, channels = data.shape
    return {
        "size": [width, height],
        "channels": channels,
        "images": len(training),
        "dimensions": round(effective_dimensions(training.images), 2),
        "seen": plan.steps * plan.batch_size,
        "state": judged.state,
        "sentence": judged.sentence,
        "distance": max(record["value"] / record["floor"] for record in distances.values()),
        "distances": distances,
        "samples": options.samples,
        "seconds": round(trained, 1),
        "judging_seconds": round(time.monotonic() - began - trained, 1),
    }


def _prepared(name: str, options: argparse.Namespace) -> Path:
    """An npz of at most `MOST_IMAGES` evenly spaced images of the set."""
    path = options.work / f"{name}.npz"
    if not path.exists():
        wanted = SETS[name]
        source: Any = wanted.source
        if source != "digits":
            source = data_folder(options.data) / source
        sized = {} if wanted.size is None else {"size": wanted.size}
        found = undrift.data.load(source, holdout=0, **sized)
        rows = np.linspace(0, len(found) - 1, min(len(found), MOST_IMAGES)).astype(np.int64)
        arrays = {"images": found.take(rows)}
        if found.labels is not None and len(np.unique(found.labels)) > 1:
            arrays["labels"] = found.labels[rows]
        np.savez(path, **arrays)
    return path


if __name__ == "__main__":
    main()
