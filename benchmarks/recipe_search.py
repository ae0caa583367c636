"""Trials of recipes at equal computing time: one data set, one budget, many configurations.

    python benchmarks/recipe_search.py emoji32 --minutes 3 \\
        --trial "" --trial "patch=1 width=32 multipliers=1,2,2 attention=-1 sigma_min=0.02"

Every trial starts from the recipe that `undrift train --budget` would choose; its words change one
field of the network, the sampler or the training each. A budget of T minutes stands for two idle
cores. A trial uses one thread and is charged by processor time, so that other work on the machine
does not matter: it gets T x 60 x 1.7 s, 1.7 being what a second core gains (--gain). The number of
steps follows from the speed of its own first steps.

``--peer`` trains the tutorial recipe of another library on the same images for the same processor
time (``benchmarks/quality.py`` says what they are, ``setup_peers.sh`` installs them).

Samples, drawn with the recipe's solver, are measured against held-out images with `texture_fd` and,
in the space of `domain` features, `fd` and coverage. One JSON line per trial goes to --out, and a
grid of samples beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import Half, data_folder
from quality import TUNED

import undrift.data
from undrift.data import ImageSet
from undrift.diffusion import LogNormal
from undrift.metrics import Comparison, Images, measure
from undrift.metrics.features import open_extractor
from undrift.options.train import TrainOptions
from undrift.pipelines import Samples
from undrift.pipelines.grid import image_grid
from undrift.runs.configuration import RunConfig
from undrift.runs.recipes import build_learner, resolve
from undrift.training.distributed import World
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

SETS: dict[str, tuple[str, int | None]] = {
    "digits": ("digits", None),
    "fashion": ("fashion_mnist", None),
    "mnist": ("mnist", None),
    "cifar10": ("cifar10/cifar10_lossless_first4000.npz", None),
    "clothing32": ("clothing/train", 32),
    "clothing64": ("clothing/train", 64),
    "clothing96": ("clothing/train", None),
    "emoji32": ("emoji", 32),
    "emoji64": ("emoji", 64),
    "nuclei64": ("nuclei/train", 64),
}
MEASURED = ("texture_fd", "fd", "coverage", "label_accuracy")
PEERS = ("azula", "azula-tuned", "diffusers")
PEERS_PYTHON = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
PROBE = 12
"""Steps whose speed is measured; the first third warms up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=SETS)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--gain", type=float, default=1.7, help="speed of two cores over one")
    parser.add_argument("--trial", action="append", default=[], help="KEY=VALUE words")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--peer", action="append", default=[], choices=PEERS, help="other libraries"
    )
    parser.add_argument("--peers-python", default=str(PEERS_PYTHON), help="which has them")
    parser.add_argument(
        "--sampling", action="append", default=[], help="also draw with these words"
    )
    parser.add_argument("-n", type=int, default=400, help="samples")
    parser.add_argument("--data-folder")
    parser.add_argument("--out", default="recipe-search.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source, size = SETS[given.data]
    path = source if source == "digits" else str(data_folder(given.data_folder) / source)
    settings = TrainOptions(budget=f"{given.minutes}m", size=size, device="cpu", threads=1)
    # a tenth for the metrics, at least 300 images
    found = undrift.data.load(path, holdout=0, **({} if size is None else {"size": size}))
    held = max(300, len(found) // 10)
    data = undrift.data.load(
        path, holdout=held / len(found), **({} if size is None else {"size": size})
    )
    evaluator = Evaluator(data)
    for seed in given.seeds:
        for peer in given.peer:
            keep(
                {**facts(given, peer, seed), **of_peer(peer, data, seed, evaluator, given)},
                given.out,
            )
        for words in given.trial or ([] if given.peer else [""]):
            config = changed(resolve(path, settings, data, device="cpu"), words, seed)
            keep({**facts(given, words, seed), **tried(config, data, evaluator, given)}, given.out)


def facts(given: argparse.Namespace, trial: str, seed: int) -> dict[str, Any]:
    """What names a trial."""
    return {"data": given.data, "minutes": given.minutes, "trial": trial, "seed": seed}


def keep(record: dict[str, Any], out: str) -> None:
    """Append a record, and print it."""
    with open(out, "a") as file:
        file.write(json.dumps(record) + "\n")
    print(line(record), flush=True)


def budget(given: argparse.Namespace) -> float:
    """Seconds of processor time of a trial."""
    return given.minutes * 60 * given.gain


def of_peer(
    peer: str, data: ImageSet, seed: int, evaluator: Evaluator, given: argparse.Namespace
) -> dict[str, Any]:
    """Train and measure the recipe of another library, in a process of its own."""
    train = data.split("train")
    labels = np.zeros(len(train), np.int64) if train.labels is None else train.labels
    with tempfile.TemporaryDirectory() as folder:
        source, samples = Path(folder) / "train.npz", Path(folder) / "samples.npz"
        Half(np.asarray(train.images[:]), labels).write(source)
        recipe = Path(__file__).parent / "peers" / f"{peer.removesuffix('-tuned')}_recipe.py"
        command = [given.peers_python, str(recipe), "--data", str(source), "--out", str(samples)]
        command += ["--seconds", str(budget(given)), "--clock", "processor", "-n", str(given.n)]
        command += ["--seed", str(seed), "--threads", "1"]
        command += TUNED if peer == "azula-tuned" else ()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\nfailed:\n{done.stderr[-2000:]}")
        cost = json.loads(done.stdout.splitlines()[-1])
        drawn = np.load(samples)
        images = Images(drawn["images"], None if train.labels is None else drawn["labels"])
    return {
        "peer": cost["peer"],
        **{name: cost[name] for name in ("parameters", "steps", "images", "seconds", "nfe")},
        "picture": picture(images.images, given),
        "metrics": {"": evaluator(images)},
    }


def picture(images: np.ndarray, given: argparse.Namespace) -> str:
    """Write a grid of samples, magnified; returns its name."""
    out = Path(given.out)
    number = sum(1 for _ in out.open()) if out.exists() else 0
    path = out.with_suffix("") / f"{given.data}-{given.minutes:g}-{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = image_grid(images[:48], 12)
    shown.resize((shown.width * 2, shown.height * 2), 0).save(path)
    return path.name


def line(record: dict[str, Any]) -> str:
    """One trial in one line."""
    lines = [
        f"{record['data']} {record['minutes']:g} min [{record['trial']}] seed {record['seed']}: "
        f"{record['parameters']:,} parameters, {record['images']:,} images, {record['picture']}"
    ]
    for words, values in record["metrics"].items():
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        lines.append(f"  [{words}] {shown}")
    return "\n".join(lines)


class Evaluator:
    """Held-out images and the spaces that samples are measured in."""

    def __init__(self, data: ImageSet) -> None:
        train = data.split("train")
        held = [part for name in ("validation", "test") if len(part := data.split(name))]
        rows = np.concatenate([np.asarray(part.images[:]) for part in held])
        labelled = train.labels is not None and len(np.unique(train.labels)) > 1
        labels = np.concatenate([part.labels for part in held]) if labelled else None
        self.reference = Images(rows, labels)
        shown = np.asarray(train.images[:10_000])
        self.training = Images(shown, train.labels[:10_000] if labelled else None)
        torch.manual_seed(0)
        self.space = open_extractor("domain", self.training.images, self.training.labels)

    def __call__(self, samples: Images) -> dict[str, float]:
        names = [
            name for name in MEASURED if name != "label_accuracy" or samples.labels is not None
        ]
        knows = self.space if samples.labels is not None else None
        compared = Comparison(
            samples, self.reference, self.training, self.space, knows, (), 0, "test"
        )
        found = measure(compared, names).metrics
        values = {name: one.value for name, one in found.items()}
        floors = {f"{name}_floor": one.floor for name, one in found.items()}
        return values | {name: floor for name, floor in floors.items() if floor is not None}


def images_of(samples: Samples) -> Images:
    """Samples as `undrift.metrics` wants them."""
    return Images(samples.images, None if samples.labels is None else np.asarray(samples.labels))


def pairs(words: str) -> list[tuple[str, str]]:
    """Keys and values of ``a=1 b=2``."""
    return [(key, value) for key, _, value in (word.partition("=") for word in words.split())]


def changed(config: RunConfig, words: str, seed: int) -> RunConfig:
    """``config`` with each ``key=value`` of ``words`` put where the key belongs."""
    model, training = config.model, dataclasses.replace(config.training, seed=seed, threads=1)
    for key, value in pairs(words):
        if key == "levels":
            mean, std = map(float, value.split(","))
            model = dataclasses.replace(model, levels=LogNormal(mean=mean, std=std))
        elif key in ("sigma_min", "rho", "steps"):
            number = int(value) if key == "steps" else float(value)
            model = dataclasses.replace(
                model, spec=dataclasses.replace(model.spec, **{key: number})
            )
        elif key in ("batch_size", "ema", "decay", "warm_up"):
            if key == "batch_size":
                training = dataclasses.replace(training, batch_size=int(value))
            elif key == "ema":
                training = dataclasses.replace(training, ema=(float(value),))
            else:
                rate = dataclasses.replace(training.learning_rate, **{key: float(value)})
                training = dataclasses.replace(training, learning_rate=rate)
        elif key == "rate":
            factor = float(value)
            rest = model.optimizer.rest
            optimizer = dataclasses.replace(
                model.optimizer,
                learning_rate=model.optimizer.learning_rate * factor,
                rest=dataclasses.replace(rest, learning_rate=rest.learning_rate * factor),
            )
            model = dataclasses.replace(model, optimizer=optimizer)
        elif key == "flip":
            model = dataclasses.replace(model, flip=value == "1")
        elif key in ("augment", "label_dropout"):
            model = dataclasses.replace(model, **{key: float(value)})
        else:
            parsed: Any = tuple(map(int, filter(None, value.split(","))))
            if key in ("patch", "width", "blocks", "embedding", "head_width"):
                parsed = parsed[0]
            network = dataclasses.replace(model.network, **{key: parsed})
            model = dataclasses.replace(model, network=network)
    return dataclasses.replace(config, model=model, training=training)


def tried(
    config: RunConfig, data: ImageSet, evaluator: Evaluator, given: argparse.Namespace
) -> dict[str, Any]:
    """Train, sample and measure one configuration."""
    train = data.split("train")
    world = World.join("cpu")
    probe = Trainer(build_learner(config), config.training, train, world=world)
    times, before = [], time.thread_time()
    for step in probe.updates(StopSignals()):
        now = time.thread_time()
        times.append(now - before)
        before = now
        if step == PROBE:
            break
    pace = float(np.median(times[PROBE // 3 :]))
    steps = max(10, int(budget(given) / pace))
    plan = dataclasses.replace(config.training, steps=steps)
    learner = build_learner(dataclasses.replace(config, training=plan))
    trainer = Trainer(learner, plan, train, world=world)
    began = time.thread_time()
    trainer.run(StopSignals())
    spent = time.thread_time() - began
    pipeline = learner.pipeline(trainer.ema.weights(plan.ema[0]))
    drawing = -time.thread_time()
    drawn = pipeline(given.n, seed=1)
    drawing += time.thread_time()
    metrics = {"": evaluator(images_of(drawn))}
    for words in given.sampling:
        settings = {k: int(v) if k == "steps" else float(v) for k, v in pairs(words)}
        spec = dataclasses.replace(config.model.spec, **settings)
        model = dataclasses.replace(config.model, spec=spec)
        other = build_learner(dataclasses.replace(config, model=model, training=plan))
        again = other.pipeline(trainer.ema.weights(plan.ema[0]))(given.n, seed=1)
        metrics[words] = evaluator(images_of(again))
    return {
        "parameters": sum(p.numel() for p in learner.networks.parameters()),
        "batch": plan.batch_size,
        "steps": steps,
        "images": steps * plan.batch_size,
        "seconds": round(spent, 1),
        "drawing_seconds": round(drawing, 1),
        "picture": picture(drawn.images, given),
        "metrics": metrics,
    }


if __name__ == "__main__":
    main()
