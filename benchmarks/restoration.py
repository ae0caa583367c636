"""Fashion-MNIST restored from 7x7 pixels and filled in: by models trained for it and without.

    python benchmarks/restoration.py RUNS $UNDRIFT_DATA/fashion_mnist

`undrift train --map lowres:4` and `--map masked` against `undrift edit` of a model that was trained
on nothing but images, beside bicubic enlargement and the mean of each class. Of test images (others
of them calibrate the intervals): PSNR in dB of one result and of the mean of K, feature distance
with its interval, how far the K differ (standard deviation, in pixel values), the share of pixels
in conformal intervals of 90 % (of those that are hidden, image by image), evaluations of the
network for each image, and seconds.

RUNS/plain, RUNS/lowres and RUNS/masked are trained where they are not finished; the same command
resumes, and rows that are measured are kept in RUNS/rows.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from record import conditions, write

import undrift
import undrift.data
from undrift.metrics import Comparison, Images, measure
from undrift.metrics.conformal import mean_of_each, moments, scale_of, widths_of
from undrift.metrics.features import FeatureExtractor, open_extractor
from undrift.pipelines.maps import maps_of

FACTOR, COVERAGE = 4, 0.9
RULES = ("moments", "pigdm", "ddnm", "diffpir", "dps")

Restore = Callable[[slice, int], tuple[NDArray[np.uint8], float]]
"""Rows of the test images and a number of results -> these, side by side, and evaluations each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=35_648, help="that each model is trained on")
    parser.add_argument("-n", type=int, default=150, help="images that are restored")
    parser.add_argument("--calibration", type=int, default=75)
    parser.add_argument("-k", type=int, default=4, help="results of each")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rules", nargs="+", default=["pigdm", "diffpir", "moments"])
    parser.add_argument("--tasks", nargs="+", default=["lowres", "masked"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = given.runs / "rows.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for task in given.tasks:
        for name, maps in (("plain", ()), (task, (MAPS[task],))):
            if not (given.runs / name / "pipeline").exists():
                undrift.train(
                    given.data,
                    maps=maps,
                    images=given.images,
                    out=given.runs / name,
                    bare=True,
                    threads=1,
                )
        bench = Bench(given, task)
        for name, restore in bench.methods().items():
            if f"{task} {name}" not in rows:
                rows[f"{task} {name}"] = bench.row(restore)
                path.write_text(json.dumps(rows, indent=1))
                print(task, name, json.dumps(rows[f"{task} {name}"]), flush=True)
    write("restoration", conditions() | {"images_trained_on": given.images, "rows": rows})


MAPS = {"lowres": f"lowres:{FACTOR}", "masked": "masked"}


class Bench:
    """Test images of one task, and the methods to restore them."""

    def __init__(self, given: argparse.Namespace, task: str) -> None:
        whole = undrift.data.load(given.data)
        train, test = whole.split("train"), whole.split("test")
        self.given, self.task = given, task
        order = np.random.default_rng(0).permutation(len(test))
        chosen = order[: given.n + given.calibration]
        self.truth = np.asarray(test.take(chosen))
        self.labels = np.asarray(test.labels)[chosen].tolist()
        self.plain = undrift.load(given.runs / "plain" / "pipeline")
        self.trained = undrift.load(given.runs / task / "pipeline")
        self.map = maps_of(self.trained.spec, test, chosen)[task]
        first = slice(0, 10_000)
        self.seen = Images(np.asarray(train.images[first]), np.asarray(train.labels)[first])
        others = np.setdiff1d(order, chosen)[:2000]
        self.reference = Images(np.asarray(test.take(np.sort(others))))
        self.space: FeatureExtractor = open_extractor("domain", self.seen.images, self.seen.labels)
        means = [self.seen.images[self.seen.labels == label].mean(0) for label in range(10)]
        self.means = np.stack(means).round().astype(np.uint8)

    def methods(self) -> dict[str, Restore]:
        """Each way by its name."""
        methods: dict[str, Restore] = {
            "bicubic": self._bicubic,
            "mean of the class": self._mean,
            "trained": self._by_map,
        }
        for rule in self.given.rules:
            methods[rule] = self._without(rule)
        if self.task == "masked":
            del methods["bicubic"]
        return methods

    def row(self, restore: Restore) -> dict[str, Any]:
        """What is measured of one way."""
        n, k = self.given.n, self.given.k
        seconds = -time.process_time()
        first, evaluations = restore(slice(0, n), k)
        seconds += time.process_time()
        each = self._each(first, slice(0, n))
        k = each.shape[1]
        truth = self.truth[:n, None].astype(float)
        means = each.mean(1)
        found: dict[str, Any] = {
            "psnr": psnr(each, truth),
            "psnr_of_mean": psnr(means, truth[:, 0]),
            "results": k,
        }
        images = Images(each[:, 0].astype(np.uint8))
        compared = Comparison(images, self.reference, self.seen, self.space, None, (), 0, "test")
        fd = measure(compared, ("fd",)).metrics["fd"]
        found["fd"] = {"value": fd.value, "low": fd.low, "high": fd.high, "floor": fd.floor}
        if k > 1:
            means, std = moments(each)
            found["deviation"] = round(float(std.mean()), 1)
            shown, rest = self._hidden(slice(0, n)), slice(n, None)
            other = self._each(restore(rest, k)[0], rest)
            scale = scale_of(self.truth[n:], other, COVERAGE, self._hidden(rest))
            half = scale * widths_of(std)
            inside = np.abs(truth[:, 0] - means) <= half
            found["coverage"] = round(float(mean_of_each(inside, shown).mean()), 4)
            found["width"] = round(float(mean_of_each(2 * half, shown).mean()), 1)
        return found | {
            "evaluations": round(evaluations, 1),
            "seconds_an_image": round(seconds / n / k, 3),
        }

    def _each(self, results: NDArray[np.uint8], rows: slice) -> NDArray[np.float64]:
        return results.reshape(len(self.truth[rows]), -1, *results.shape[1:]).astype(float)

    def _hidden(self, rows: slice) -> NDArray[np.bool_]:
        """Pixels that are to be found: all, or the hidden ones."""
        if self.task == "lowres":
            return np.ones(self.truth[rows].shape, bool)
        return self.map[rows] < 0

    def _bicubic(self, rows: slice, k: int) -> tuple[NDArray[np.uint8], float]:
        del k
        height, width = self.truth.shape[1:3]
        small = (Image.fromarray(one[..., 0]) for one in self._small(rows))
        made = [one.resize((width, height), Image.Resampling.BICUBIC) for one in small]
        return np.stack([np.asarray(one) for one in made])[..., None], 0.0

    def _mean(self, rows: slice, k: int) -> tuple[NDArray[np.uint8], float]:
        del k
        made = self.means[self.labels[rows]]
        return np.where(self._hidden(rows), made, self.truth[rows]), 0.0

    def _small(self, rows: slice) -> NDArray[np.uint8]:
        n, height, width, channels = self.truth[rows].shape
        cells = (n, height // FACTOR, FACTOR, width // FACTOR, FACTOR, channels)
        return self.truth[rows].reshape(cells).mean((2, 4)).round().astype(np.uint8)

    def _by_map(self, rows: slice, k: int) -> tuple[NDArray[np.uint8], float]:
        maps = np.repeat(self.map[rows], k, axis=0)
        drawn = self.trained(
            len(maps),
            labels=np.repeat(self.labels[rows], k).tolist(),
            maps={self.task: maps},
            steps=self.given.steps,
            seed=rows.start,
        )
        images = drawn.images
        if self.task == "masked":  # what is known is kept, as undrift edit does
            known = np.repeat(~self._hidden(rows), k, axis=0)
            images = np.where(known, np.repeat(self.truth[rows], k, axis=0), images)
        return images, drawn.nfe

    def _without(self, rule: str) -> Restore:
        def restore(rows: slice, k: int) -> tuple[NDArray[np.uint8], float]:
            given = {
                "variants": k,
                "labels": self.labels[rows],
                "method": rule,
                "steps": self.given.steps,
                "seed": rows.start,
            }
            if self.task == "masked":
                mask = self._hidden(rows)[..., 0]
                made = self.plain.inpaint(self.truth[rows], mask, **given)
            else:
                operator = f"downsample:{FACTOR}"
                made = self.plain.edit(self._small(rows), operator=operator, **given)
            return made.images, made.nfe

        return restore


def psnr(images: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio, in dB, of the mean square over all images."""
    return round(float(20 * np.log10(255) - 10 * np.log10(np.square(images - truth).mean())), 2)


if __name__ == "__main__":
    main()
