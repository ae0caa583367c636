"""A model of Fashion-MNIST that never saw sandals learns them from 200 images by LoRA.

    python benchmarks/lora_sandals.py RUNS $UNDRIFT_DATA/fashion_mnist

The base is trained by the default recipe on nine classes, the adapter (`undrift adapt --lora 8`) on
200 sandals, which the base knows no class for: they are learned as images without a class and drawn
with guidance 0. A classifier of all ten classes, trained on real images, reads the samples.
Criteria: sandals appear, and the accuracy of the nine classes falls by at most two points.
``--without-base-images`` also trains an adapter that is not held to the base on images of it.

RUNS/base, RUNS/adapter and RUNS/without are trained where they are not finished; the same command
resumes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import Half
from numpy.typing import NDArray
from record import conditions, rounded, trained, write

import undrift
import undrift.data
from undrift.metrics import Comparison, Images, measure
from undrift.metrics.classification import label_accuracy
from undrift.metrics.features import Classifier, open_extractor
from undrift.runs import configuration
from undrift.training.learners.adapter import AdapterConfig

SANDAL = 5
SHOTS = 200
EACH = 200
"""Samples of each of the nine classes."""

SAMPLES = 300
"""Samples without a class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=64_000, help="that the base is trained on")
    parser.add_argument("--adapter-images", type=int, default=25_600)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--without-base-images", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.runs.mkdir(parents=True, exist_ok=True)
    whole = undrift.data.load(given.data)
    train, test = (pair(whole.split(name)) for name in ("train", "test"))
    others, few = given.runs / "nine.npz", given.runs / "sandals.npz"
    sandals = np.flatnonzero(train.labels == SANDAL)
    if not few.exists():
        kept = train.labels != SANDAL
        save(others, train.images[kept], train.labels[kept])
        save(few, train.images[sandals[:SHOTS]], train.labels[sandals[:SHOTS]])
    base, adapter = given.runs / "base", given.runs / "adapter"
    settings: dict[str, Any] = {"bare": True, "threads": 1}
    costs = {
        "base": trained(
            base, lambda: undrift.train(others, images=given.images, out=base, **settings)
        ),
        "adapter": trained(
            adapter,
            lambda: undrift.adapt(
                base,
                few,
                lora=given.rank,
                images=given.adapter_images,
                out=adapter,
                **settings,
            ),
        ),
    }
    space = open_extractor("domain", train.images[:10_000], train.labels[:10_000])
    if not isinstance(space, Classifier):
        raise SystemExit("the space of the images' own classes has no classifier")
    seen = Images(train.images[sandals[:SHOTS]])
    real = Images(test.images[test.labels == SANDAL])
    pipeline = undrift.load(adapter / "pipeline")
    result: dict[str, Any] = conditions() | {
        kind: {name: cost[kind] for name, cost in costs.items()}
        for kind in ("processor_seconds", "seconds")
    }
    result |= {
        "parameters": sum(one.numel() for one in pipeline.weights.parameters()),
        "rank": given.rank,
        "images": {"base": given.images, "adapter": given.adapter_images},
        "real_accuracy": accuracy(space, test.images, test.labels, test.labels != SANDAL),
        "the_200": sandals_of(space, seen.images, real, seen),
        "other_real": sandals_of(space, train.images[sandals[SHOTS : SHOTS + SAMPLES]], real, seen),
    }
    requested = np.repeat(np.array([label for label in range(10) if label != SANDAL]), EACH)
    right: dict[float, NDArray[np.bool_]] = {}

    def measured(model: undrift.Pipeline, strength: float, path: Path) -> dict[str, Any]:
        classes = model.spec.class_names
        words = [classes[label if label < SANDAL else label - 1] for label in requested]
        if not path.exists():
            drawn = model(len(requested), labels=words, strength=strength, seed=0).images
            free = model(SAMPLES, guidance=0.0, strength=strength, seed=1).images
            np.savez(path, drawn=drawn, free=free)
        drawn, free = (np.load(path)[name] for name in ("drawn", "free"))
        found: dict[str, Any] = {"accuracy": accuracy(space, drawn, requested)}
        hits = space.predict(drawn) == requested
        right.setdefault(strength, hits)
        if 0.0 in right:  # the same seeds and classes: a paired difference
            change = hits.astype(float) - right[0.0]
            error = change.std() / len(change) ** 0.5
            found["change"] = {"value": float(change.mean()), "standard_error": float(error)}
        return found | sandals_of(space, free, real, seen)

    for strength in given.strengths:
        found = measured(pipeline, strength, given.runs / f"drawn-{strength:g}.npz")
        result[f"strength {strength:g}"] = found
        print(strength, json.dumps(found), flush=True)
    if given.without_base_images:
        alone = given.runs / "without"
        cost = trained(alone, lambda: train_without_base_images(adapter, alone))
        found = measured(undrift.load(alone / "pipeline"), 1.0, given.runs / "drawn-without.npz")
        result["without_the_bases_own_images"] = cost | {"strength 1": found}
        print("without", json.dumps(found), flush=True)
    write("lora-sandals", result)


def train_without_base_images(adapter: Path, out: Path) -> None:
    """Train as ``adapter`` was, but for the images of the base, of which there are none."""
    config = configuration.load(adapter / "config.yaml")
    if not isinstance(config.model, AdapterConfig):
        raise SystemExit(f"{adapter}: not an adapter")
    path = out.with_suffix(".yaml")
    path.write_text(configuration.dump(replace(config, model=replace(config.model, base_images=0))))
    undrift.train(config=path, out=out)


def pair(part: undrift.data.ImageSet) -> Half:
    return Half(np.asarray(part.images[:]), np.asarray(part.labels))


def save(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    np.savez(path, images=images, labels=labels)  # classes are named by their number


def accuracy(
    space: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    rows: NDArray[np.bool_] | slice = slice(None),
) -> dict[str, float]:
    return rounded(label_accuracy(space.predict(images[rows]), labels[rows]))


def sandals_of(
    space: Classifier, images: NDArray[np.uint8], real: Images, seen: Images
) -> dict[str, Any]:
    """Share of sandals, and distance, coverage and copies beside real sandals of the test."""
    labels = np.full(len(images), SANDAL)
    compared = Comparison(Images(images), real, seen, space, space, (), 0, "test")
    found = measure(compared, ("fd", "coverage", "memorization")).metrics
    return {"sandals": accuracy(space, images, labels)} | {
        name: {"value": one.value, "low": one.low, "high": one.high, "floor": one.floor}
        for name, one in found.items()
    }


if __name__ == "__main__":
    main()
