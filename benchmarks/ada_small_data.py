"""Adaptive augmentation on 500 images: does the discriminator overfit, and what is it worth.

    python benchmarks/ada_small_data.py cifar10 --size 16 --r1 0.01 --generator-rate 0.001 \\
        --discriminator-rate 0.009 --decay 0.5 --images 800000

The same StyleGAN2 recipe is trained twice per seed on the same few images, with its adaptive
augmentation and without any, and measured on the way what its discriminator makes of images that it
was not trained on. Criteria: without augmentation the discriminator overfits; with it the mean sign
of the logits of reals stays at its target of 0.6 +- 0.1 over the last half of the run, both of
those that it is trained on, augmented, which the controller reads, and of held-out ones; and the
Frechet distance to many more held-out images is smaller.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from changes import changed
from halves import DATASETS, Half, halves
from record import conditions, warn_if_busy, write

import undrift
from undrift.metrics.seeds import paired_over_seeds
from undrift.options.train import TrainOptions
from undrift.pipelines.grid import image_grid
from undrift.runs import configuration
from undrift.runs.events import read_events
from undrift.training.learners.gan_config import GANConfig
from undrift.workflows.preview import resolve_config

TARGET, TOLERANCE = 0.6, 0.1
SHARE = 0.4
"""Of the images at hand: held out from training; the discriminator is measured on half of them."""

LOOK = 250
"""Steps between two looks at what the discriminator makes of held-out images."""

ARMS = ("ada", "none")
"""With adaptive augmentation, and without any."""

MARGIN = 6
"""White pixels around a run's samples in the picture."""

SETTINGS = ("arm", "seed", "images", "r1", "generator_rate", "discriminator_rate", "decay")
"""Settings of a row."""

DISTANCES = ("fd", "random_fd")
"""Frechet distances by features learned on the data, and by random ones."""

SIDES = ("low", "high", "floor")
"""What of a distance belongs to one run alone."""


def main() -> None:
    """Train, measure, print a table, write a JSON."""
    options = _options()
    warn_if_busy()
    few, many = _data(options)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        few.write(work / "few.npz")
        many.write(work / "many.npz")
        seeds = range(options.seed, options.seed + options.seeds)
        runs = [(arm, seed) for seed in seeds for arm in ARMS]
        spawning = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.processes, mp_context=spawning) as pool:
            for row in pool.map(partial(_measured, work=work, options=options), runs):
                rows.append(row)
                print(row, flush=True)
        if options.picture:
            sheet(work, seeds).save(options.picture)
    result = conditions() | {"dataset": options.dataset, "train": options.few, "rows": rows}
    result["summary"] = summarise(rows)
    print(json.dumps(result["summary"], indent=1))
    print("wrote", write(f"ada-{options.dataset}", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", choices=(*DATASETS, "cifar10"))
    parser.add_argument("--size", type=int, help="pixels on a side to train at; the images' own")
    parser.add_argument("--few", type=int, default=500, help="images to train on")
    parser.add_argument("--images", type=int, default=200_000, help="real images seen in all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first run, the next follow it")
    parser.add_argument("--adapt", type=int, help="images that take p from 0 to 1; the recipe's")
    parser.add_argument("--r1", type=float, help="weight of the gradient penalty; the recipe's")
    for side in ("generator", "discriminator"):
        parser.add_argument(
            f"--{side}-rate", type=float, help=f"learning rate of the {side}; the recipe's"
        )
    parser.add_argument(
        "--decay",
        type=float,
        help="share of a run, at its end, in which all rates fall to 0; the recipe's",
    )
    parser.add_argument("-n", type=int, default=2000, help="samples for the FD")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--data", help="folder with fashion_mnist and cifar10; default $UNDRIFT_DATA"
    )
    parser.add_argument("--work", help="folder to keep the runs in; default none")
    parser.add_argument(
        "--picture", help="PNG to draw: a row of samples per seed, with and without"
    )
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


def _data(options: argparse.Namespace) -> tuple[Half, Half]:
    """The few images, those to be held out from them included, and many others."""
    training, held_out = halves(options.dataset, options.data)
    count = round(options.few / (1 - SHARE))
    rows = np.random.default_rng(0).permutation(len(training.images))[:count]
    return Half(training.images[rows], training.labels[rows]), held_out


def _measured(which: tuple[str, int], work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train one arm with one seed, and say what its discriminator and its samples are like."""
    arm, seed = which
    run = work / f"{arm}-{seed}"
    settings = TrainOptions(
        method="stylegan2",
        images=options.images,
        seed=seed,
        holdout=SHARE,
        size=options.size,
        validate_every=LOOK,
        threads=options.threads,
        conditional=False,
    )
    config = resolve_config(str(work / "few.npz"), settings)
    changes = {
        "model.adapt": 0 if arm == "none" else options.adapt or None,
        "model.penalty.r1": options.r1,
        "model.generator_optimizer.learning_rate": options.generator_rate,
        "model.discriminator_optimizer.learning_rate": options.discriminator_rate,
        "training.learning_rate.decay": options.decay,
    }
    config = changed(config, {name: value for name, value in changes.items() if value is not None})
    model = config.model
    if not isinstance(model, GANConfig):
        raise SystemExit("the recipe is no GAN")
    path = work / f"{arm}-{seed}.yaml"
    path.write_text(configuration.dump(config))
    undrift.train(config=path, out=run)
    evaluate = partial(
        undrift.evaluate, run, reference=work / "many.npz", split="train", n=options.n
    )
    found = evaluate(metrics=("fd", "coverage")).metrics
    random = evaluate(metrics=("fd",), features="random").metrics["fd"]
    row = {
        "arm": arm,
        "seed": seed,
        "images": options.images,
        "r1": model.penalty.r1,
        "generator_rate": model.generator_optimizer.learning_rate,
        "discriminator_rate": model.discriminator_optimizer.learning_rate,
        "decay": config.training.learning_rate.decay,
    }
    row |= game(run)
    for name, number in zip(DISTANCES, (found["fd"], random), strict=True):
        row |= {name: round(number.value, 4)}
        row |= {f"{name}_{side}": round(getattr(number, side), 4) for side in SIDES}
    return row | {"coverage": round(found["coverage"].value, 4)}


def game(run: Path) -> dict[str, Any]:
    """Statistics of the discriminator over the last half of a run, on average."""
    events = read_events(run / "metrics.jsonl")
    end = max(event.images or 0 for event in events if event.kind == "train")
    late = [event for event in events if (event.images or 0) > end / 2]
    sides = [e.entries["phases"]["discriminator"] for e in late if e.kind == "train"]
    held_out = [e.entries for e in late if e.kind == "validation" and e.weights == "ema"]

    def mean(entries: list[dict[str, Any]], name: str) -> float:
        return round(float(np.mean([entry[name] for entry in entries])), 4)

    return {
        "controlled_sign": mean(sides, "real_sign"),
        "augment": mean(sides, "augment"),
        **{n: mean(held_out, n) for n in ("seen_sign", "real_sign", "overfitting", "diversity")},
    }


def sheet(work: Path, seeds: Sequence[int]) -> PIL.Image.Image:
    """The last sample grid of every run: a row per seed, with augmentation on the left."""
    ends = [
        max((work / f"{arm}-{seed}" / "samples").glob("step_*_ema.png"))
        for seed in seeds
        for arm in ARMS
    ]
    grids = np.stack([np.asarray(PIL.Image.open(path).convert("RGB")) for path in ends])
    margin = [(0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    return image_grid(np.pad(grids, margin, constant_values=255), columns=len(ARMS))


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and what was wanted beside what was reached."""
    arms = {arm: [row for row in rows if row["arm"] == arm] for arm in ARMS}
    alone = {*SETTINGS, *(f"{name}_{side}" for name in DISTANCES for side in SIDES)}
    names = [name for name in rows[0] if name not in alone]
    means = {
        arm: {name: round(float(np.mean([row[name] for row in own])), 4) for name in names}
        for arm, own in arms.items()
    }

    def at_target(name: str) -> list[bool]:
        return [abs(row[name] - TARGET) <= TOLERANCE for row in arms["ada"]]

    return {
        "means": means,
        "sign_at_target": at_target("controlled_sign"),
        "held_out_sign_at_target": at_target("real_sign"),
        "overfits_without": means["none"]["overfitting"] > means["ada"]["overfitting"],
        **{
            f"{name}_better_with": [
                a[name] < b[name] for a, b in zip(arms["ada"], arms["none"], strict=True)
            ]
            for name in DISTANCES
        },
        **{f"{name}_difference": difference(arms, name) for name in (*DISTANCES, "coverage")},
    }


def difference(arms: dict[str, list[dict[str, Any]]], name: str) -> dict[str, float | None]:
    """With less without, over seeds, with its 95 % interval (none from one seed)."""
    with_, without = ({row["seed"]: row[name] for row in arms[arm]} for arm in ARMS)
    found = paired_over_seeds(with_, without)
    if found is None:
        raise SystemExit("the two arms have no seed in common")
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {end: number if number is None else round(number, 4) for end, number in ends.items()}


if __name__ == "__main__":
    main()
