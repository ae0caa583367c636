"""Training images that the default recipe needs, by size, channels and variety of the images.

    python benchmarks/images_needed.py measure [--only emoji-32 ...] [--minutes 60] --work FOLDER
    python benchmarks/images_needed.py fit

``measure`` trains the default recipe on several data sets and sizes, for 2,500, 10,000, ... images
seen, each a run of its own with its whole learning-rate schedule. Its samples are measured as
`undrift train` does (`undrift.report.sensitivity`): "early" while they are no
better than grossly corrupted real images, "learning" while they are no better than real images with
visible noise or do not show their classes, "learned" afterwards. A set ends when its samples are
good, that is learned and with a Frechet distance of at most twice that of real images, or at its
largest length. Every run is stored when it is done: the same command goes on where it was stopped,
and ``--minutes`` stops it. Rows with a ``source`` were measured by other scripts and are kept.

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
from scipy.optimize import minimize
from scipy.stats import norm

import undrift
import undrift.data
from undrift.metrics import Comparison, Images, open_spaces, quick_space, with_sensitivity
from undrift.metrics import measure as measure_metrics
from undrift.metrics.variety import effective_dimensions
from undrift.options.train import TrainOptions
from undrift.report.sensitivity import with_samples
from undrift.report.verdict import Verdict
from undrift.runs.expectation import TABLE, images_needed
from undrift.runs.recipes import build_learner, resolve
from undrift.training.distributed import World
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals
from undrift.workflows.closing import view

LENGTHS = (2_500, 10_000, 40_000, 160_000)
"""Images seen of the runs of a set."""

MOST_IMAGES = 5_000
"""Different images of a set."""

HELD_OUT = 0.15
STEPS = 10
SAMPLES = 250
METRICS = ("fd", "texture_fd", "label_accuracy")
CLOSE = 2.0
"""Samples are good when their Frechet distance is at most that of real images times this."""

SPREAD = 1.0
"""Standard deviation of log2 of the images needed about the rule: a factor of two."""

LEVELS = ("rough", "good")

RESULT = "images-needed"

PUBLISHED = [
    {
        "name": "CIFAR-10, improved-diffusion",
        "size": [32, 32],
        "channels": 3,
        "images_seen": 10_200_000,
        "reached": "FID-50k 12",
        "source": "github.com/openai/improved-diffusion, issue 16",
    },
    {
        "name": "CIFAR-10, class-conditional EDM",
        "size": [32, 32],
        "channels": 3,
        "images_seen": 200_000_000,
        "reached": "FID-50k 1.79",
        "source": "Karras et al. 2022, arXiv:2206.00364",
    },
    {
        "name": "text to image, HDM, its stage at 256 pixels",
        "size": [256, 256],
        "channels": 3,
        "images_seen": 152_000_000,
        "reached": "the base of its larger sizes; no FID is given",
        "source": "HDM, a 343 M parameter model, as its report of 2025 says",
    },
]
"""Rows that two cores cannot measure: other recipes, other notions of good."""


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
    "mnist-28": Set("mnist", None, 160_000, held_out=True),
    "emoji-32": Set("emoji", 32, 160_000),
    "clothing-24": Set("clothing/train", 24, 160_000, held_out=True),
    "nuclei-32": Set("nuclei", 32, 160_000),
    "clothing-32": Set("clothing/train", 32, 160_000),
    "cifar-32": Set(str(CIFAR10), 32, 160_000),
    "emoji-64": Set("emoji", 64, 40_000),
    "clothing-64": Set("clothing/train", 64, 40_000),
    "nuclei-64": Set("nuclei", 64, 40_000),
}
"""In the order of measuring: what is cheap first, and what is only predicted last."""


def main() -> None:
    """Measure, or fit."""
    options = _options()
    if options.verb == "measure":
        measure(options)
    else:
        fit(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("measure", "fit"))
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after these")
    parser.add_argument("--least", type=int, default=0, help="images seen, at least")
    parser.add_argument("--most", type=int, default=LENGTHS[-1], help="images seen, at most")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--data", help="folder with the data sets; default $UNDRIFT_DATA")
    parser.add_argument("--work", type=Path, help="folder for data and runs")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{RESULT}.json")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Train and measure what has not been, until the time is up."""
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
            if not options.least <= length <= min(SETS[name].longest, options.most):
                continue
            if _is_done(rows, length):
                continue
            if time.monotonic() - began > 60 * options.minutes:
                return
            row = _measured(name, length, options)
            rows[str(length)] = row
            write(RESULT, result | {"conditions": conditions()}, str(options.out))
            print(
                f"{name}: {length:,} images seen, {row['state']}, "
                f"FD {row['fd_ratio']:.2f} times that of real images; "
                f"{row['seconds']:.0f} s to train, {row['judging_seconds']:.0f} s to measure",
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
    """Whether samples are good."""
    return row["state"] == "learned" and row["fd_ratio"] <= CLOSE


def _measured(name: str, length: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a new model on ``length`` images and measure its samples."""
    source = _prepared(name, options)
    began = time.monotonic()
    data = undrift.data.load(source, holdout=HELD_OUT)
    settings = TrainOptions(images=length, holdout=HELD_OUT, threads=1)
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
    space, classifier = open_spaces(training, quick_space(training))
    comparison = Comparison(
        Images(samples.images, samples.labels if held_out.labels is not None else None),
        held_out,
        training,
        space,
        classifier,
        data.class_names,
        0,
        "validation",
    )
    evaluation = with_sensitivity(measure_metrics(comparison, METRICS), comparison)
    reported = with_samples(Verdict("learned", ""), evaluation)
    measured = {
        metric: {part: getattr(found, part) for part in ("value", "low", "high", "floor")}
        for metric, found in evaluation.metrics.items()
    }
    fd = measured["fd"]
    if fd["floor"] is None:
        raise SystemExit(f"{source}: real images cannot be measured; take fewer --samples")
    height, width, channels = data.shape
    return {
        "size": [width, height],
        "channels": channels,
        "images": len(training),
        "dimensions": round(effective_dimensions(training.images), 2),
        "seen": plan.steps * plan.batch_size,
        "state": reported.state,
        "sentence": reported.sentence,
        "fd_ratio": fd["value"] / fd["floor"],
        "metrics": measured,
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


def fit(options: argparse.Namespace) -> None:
    """Fit the rule, print its predictions beside what was measured, and write its table."""
    stored = _stored(options.out)
    rows = {name: one for name, one in stored["sets"].items() if one}
    facts = {name: _facts(name, one) for name, one in rows.items()}
    rule = fitted([one for one in facts.values() if not one["held_out"]])
    print("| images | size | channels | D | rough shapes | predicted | good samples | predicted |")
    print("|---|---|---|---|---|---|---|---|")
    for name, one in facts.items():
        cells = []
        for level in LEVELS:
            predicted = _predicted(rule, level, one)
            one[level]["predicted"] = round(predicted)
            low, high = one[level]["above"], one[level]["at_most"]
            span = f"above {low:,}" if high is None else f"{low:,} to {high:,}"
            off = max((low or 1) / predicted, predicted / (high or np.inf), 1.0)
            cells += [span, f"{predicted:,.0f}" + (f" (off by {off:.1f})" if off > 1 else "")]
        held = " (held out)" if one["held_out"] else ""
        size = "x".join(map(str, one["size"]))
        print(
            f"| {name}{held} | {size} | {one['channels']} | {one['dimensions']:.1f} | "
            + " | ".join(cells)
            + " |"
        )
    print(json.dumps(rule))
    content = {
        "version": 1,
        "made_by": "python benchmarks/images_needed.py fit",
        "recipe": stored["conditions"]["date"],
        "rule": rule,
        "measured": [{"name": name, **one} for name, one in facts.items()],
        "published": PUBLISHED,
    }
    TABLE.write_text(json.dumps(content, indent=1) + "\n")
    print("wrote", TABLE)


def _facts(name: str, rows: dict[str, Any]) -> dict[str, Any]:
    """What the images of a set are, and between which lengths its samples became better."""
    by_length = [rows[key] for key in sorted(rows, key=int)]
    first = by_length[0]
    found = {key: first[key] for key in ("size", "channels", "images", "dimensions")}
    reached = {
        "rough": [row["state"] != "early" for row in by_length],
        "good": [is_good(row) for row in by_length],
    }
    for level, flags in reached.items():
        last = max((k for k, flag in enumerate(flags) if not flag), default=-1)
        found[level] = {
            "above": by_length[last]["seen"] if last >= 0 else 0,
            "at_most": by_length[last + 1]["seen"] if last + 1 < len(flags) else None,
        }
    return found | {"held_out": SETS[name].held_out}


def fitted(facts: list[dict[str, Any]]) -> dict[str, float]:
    """The rule that makes the measured intervals likeliest.

    log2 of the images needed is normal around the rule's with a standard deviation of `SPREAD`, and
    is known to lie in an interval. Exponents are positive, since larger, more colourful or more
    varied images never need fewer; the prior of each is log-normal, about 0.5 within a factor of 2.
    """

    def loss(values: np.ndarray) -> float:
        rule = _rule(values)
        total = float(((values[2:] + 1) ** 2).sum() / 2)
        for one in facts:
            for level in LEVELS:
                centre = np.log2(_predicted(rule, level, one))
                low, high = one[level]["above"], one[level]["at_most"]
                ends = (
                    -np.inf if not low else (np.log2(low) - centre) / SPREAD,
                    np.inf if high is None else (np.log2(high) - centre) / SPREAD,
                )
                total -= np.log(max(norm.cdf(ends[1]) - norm.cdf(ends[0]), 1e-300))
        return total

    start = np.array([13.0, 17.0, -1.0, -1.0, -1.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 20_000})
    return {name: round(value, 3) for name, value in _rule(found.x).items()}


def _rule(values: np.ndarray) -> dict[str, float]:
    """Of log2 of all of its numbers."""
    rough, good, pixels, channels, variety = (2.0 ** float(value) for value in values)
    return {
        "rough": rough,
        "good": good,
        "pixels": pixels,
        "channels": channels,
        "variety": variety,
    }


def _predicted(rule: dict[str, float], level: str, one: dict[str, Any]) -> float:
    width, height = one["size"]
    return images_needed(rule, level, (one["channels"], height, width), one["dimensions"])


if __name__ == "__main__":
    main()
