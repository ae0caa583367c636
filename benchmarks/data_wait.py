"""Share of the training time that the step waits for data, on photographs and on Fashion-MNIST.

    python benchmarks/data_wait.py

Trains undrift's own recipe for a number of steps with the library's own loop and sums up what it
logs: seconds that it waited for its loader over seconds that it trained. Decoding is done once,
before training, and not counted. To reach: at most 2 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from halves import data_folder
from record import conditions, warn_if_busy, write

import undrift.data
from undrift.options.train import TrainOptions
from undrift.runs.recipes import resolve
from undrift.training.distributed import World
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

SETS = {"clothing": "clothing/train", "fashion_mnist": "fashion_mnist"}
REACH = 0.02


def main() -> None:
    """Measure both sets, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="folder with the data sets; default $UNDRIFT_DATA")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    result = conditions() | {"steps": options.steps, "rows": []}
    for name, folder in SETS.items():
        row = {"set": name} | wait(data_folder(options.data) / folder, options)
        result["rows"].append(row)
        print(
            f"{name:14} waited {row['waited']:.3f} s of {row['seconds']:.1f} s "
            f"({row['images_per_second']:.0f} images/s): {row['share']:.2%}  to reach {REACH:.0%}",
            flush=True,
        )
    print("wrote", write("data-wait", result, options.out))


class Listener:
    """Keeps the loop's ``train`` events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, name: str, **entries: Any) -> None:
        """Keep it."""
        if name == "train":
            self.events.append(entries)

    def step(self, progress: Any) -> None:
        """Nothing to show."""

    def grid(self, progress: Any, pipelines: Mapping[str, Any]) -> None:
        """Nothing to draw."""


def wait(source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train on ``source`` for ``--steps`` and account for the waiting."""
    data = undrift.data.load(source)
    settings = TrainOptions(steps=options.steps, threads=options.threads)
    config = resolve(str(source), settings, data, device="cpu")
    learner = DiffusionLearner(config.model, 0, torch.device("cpu"))
    listener = Listener()
    train = data.split("train")
    trainer = Trainer(learner, config.training, train, world=World.join(), observer=listener)
    trainer.run(StopSignals())
    events = listener.events
    seen, seconds, waited = 0, 0.0, 0.0
    for event in events:  # the first covers the first step alone: loading kernels, not data
        spent = (event["images"] - seen) / event["images_per_second"]
        if seen:
            seconds += spent
            waited += event["data_wait"] * spent
        seen = event["images"]
    trained = events[-1]["images"] - events[0]["images"]
    return {
        "images": trained,
        "seconds": seconds,
        "waited": waited,
        "share": waited / seconds,
        "images_per_second": trained / seconds,
    }


if __name__ == "__main__":
    main()
