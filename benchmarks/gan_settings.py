"""One setting of a GAN, or of the diffusion model: trained, measured, logged.

    python benchmarks/gan_settings.py r3gan --images 60000 --set model.network.width=64 --log FILE

Starts from the recipe of ``undrift train DATA --method METHOD --budget 20m`` and changes what
``--set`` names, by the names in config.yaml. It trains on so many real images rather than for so
long, so that other work on the machine changes nothing but the seconds. Every look (half way and at
the end) appends one line of JSON to the log: the command, the processor seconds of training, and
for each length of the weight average the Frechet distance in the domain classifier's features,
coverage and label accuracy of n samples beside a sixth of the training images, which is held out
for it: what is tuned here is reported on test images elsewhere, and must not see them.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from changes import changed
from halves import data_folder
from record import conditions

import undrift
from undrift.data import ImageSet
from undrift.options.train import TrainOptions
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.recipes import build_learner, resolve
from undrift.training.distributed import World
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

METRICS = ("fd", "coverage", "label_accuracy")
DATA = ("fashion_mnist", "digits")
SHARE = 1 / 6
"""Of the training images, held out from them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and measure one setting."""
    options = _options(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        _run(options, training_images(options, Path(folder)))


def _run(options: argparse.Namespace, source: str) -> None:
    config = setting(options, source)
    data = _images(source)
    learner = build_learner(config)
    seconds = 0.0
    with World.join("cpu") as world, StopSignals() as stop:
        trainer = Trainer(learner, config.training, data.split("train"), world=world)
        for look in range(1, options.looks + 1):
            began = time.process_time()
            trainer.run(stop, until=config.training.steps * look // options.looks)
            seconds += time.process_time() - began
            row = conditions() | {
                "on": options.on,
                "beside": "training images that are held out",
                "method": options.method,
                "changed": options.set,
                "batch": config.training.batch_size,
                "seed": options.seed,
                "images": trainer.progress.images,
                "of": config.training.steps * config.training.batch_size,
                "processor_seconds": round(seconds, 1),
                "ema": {
                    str(length): _measured(
                        learner.pipeline(trainer.ema.weights(length)), source, options.n
                    )
                    for length in config.training.ema
                },
            }
            with Path(options.log).open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(trainer.progress.images, row["processor_seconds"], row["ema"], flush=True)
        if options.keep:
            learner.pipeline(trainer.ema.weights(config.training.ema[0])).save_pretrained(
                options.keep
            )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("method", choices=("diffusion", "r3gan", "stylegan2"))
    parser.add_argument("--on", choices=DATA, default="fashion_mnist")
    parser.add_argument("--images", type=int, required=True, help="real images seen in all")
    parser.add_argument("--batch", type=int, help="default: the recipe's")
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE", help="YAML values"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", default="20m", help="that the recipe is made for")
    parser.add_argument("--looks", type=int, default=2)
    parser.add_argument("-n", type=int, default=2000, help="samples")
    parser.add_argument("--data", help="folder with fashion_mnist; default $UNDRIFT_DATA")
    parser.add_argument("--keep", help="folder for the trained pipeline")
    parser.add_argument("--log", required=True, help="file of JSON lines to append to")
    return parser.parse_args(arguments)


def training_images(options: argparse.Namespace, folder: Path) -> str:
    """Write the training images alone as an idx folder, a share of them as its test images."""
    named = "digits" if options.on == "digits" else str(data_folder(options.data) / options.on)
    train = undrift.data.load(named, holdout=0).split("train")
    images, labels = np.asarray(train.images)[..., 0], np.asarray(train.labels, dtype=np.uint8)
    order = np.random.default_rng(0).permutation(len(train))
    cut = round(SHARE * len(order))
    for part, rows in (("t10k", order[:cut]), ("train", order[cut:])):
        for what, values in (("images", images[rows]), ("labels", labels[rows])):
            path = folder / f"{part}-{what}-idx{values.ndim}-ubyte"
            header = struct.pack(f">HBB{values.ndim}I", 0, 0x08, values.ndim, *values.shape)
            path.write_bytes(header + values.tobytes())
    return str(folder)


def setting(options: argparse.Namespace, source: str) -> RunConfig:
    """The recipe for so many images, changed as ``--set`` says."""
    requested = TrainOptions(
        method=options.method, batch_size=options.batch, seed=options.seed, budget=options.budget
    )
    config = resolve(source, requested, _images(source), device="cpu")
    steps = options.images // config.training.batch_size
    config = replace(config, budget=None, training=replace(config.training, steps=steps))
    named = (change.partition("=") for change in options.set)
    try:
        return changed(config, {name: yaml.safe_load(value) for name, _, value in named})
    except KeyError as error:
        name = error.args[0]
        raise SystemExit(f"--set {name}: the configuration has no such entry") from error


def _measured(pipeline: Any, source: str, n: int) -> dict[str, float]:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "pipeline"
        pipeline.save_pretrained(saved)
        found = undrift.evaluate(saved, reference=source, split="test", n=n, metrics=METRICS)
    return {name: round(found.metrics[name].value, 4) for name in METRICS}


@cache
def _images(source: str) -> ImageSet:
    return load_images(source, TrainOptions())


if __name__ == "__main__":
    main()
