"""Which corruptions of real images each metric sees, in every feature space, on real data.

    python benchmarks/corruptions.py [--data emoji cifar10 clothing fashion_mnist] [--n 500]

For each data set the spaces are fitted on its training images, as `undrift evaluate` does, and the
test of `undrift.metrics.sensitivity` is made. Prints the table of `docs/reference/metrics.md`: what
each metric does *not* see. Also measured: what fitting and the test cost.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from halves import data_folder
from record import conditions, warn_if_busy, write

import undrift.data
from undrift.metrics import Comparison, Images, sensitivity
from undrift.metrics.features import open_extractor
from undrift.metrics.sensitivity import EXPECTED
from undrift.schema import to_plain

SETS: dict[str, dict[str, Any]] = {
    "emoji": {"source": "emoji", "size": 32},
    "cifar10": {"source": "cifar10/cifar10_lossless_first4000.npz"},
    "clothing": {"source": "clothing/train", "size": 32},
    "fashion_mnist": {"source": "fashion_mnist"},
}
SPACES = ("domain", "random", "pixels", "texture")
MOST_TRAINING = 10_000


def images_of(name: str, seed: int) -> tuple[Images, Images]:
    """Training images and 500 to 1,000 held-out ones."""
    settings = dict(SETS[name])
    found = undrift.data.load(data_folder() / settings.pop("source"), holdout=0, **settings)
    order = np.random.default_rng(seed).permutation(len(found.images))
    held = min(1000, len(order) // 5)
    labels = found.labels if found.labels is not None and len(np.unique(found.labels)) > 1 else None

    def part(rows: np.ndarray) -> Images:
        rows = np.sort(rows)
        return Images(np.asarray(found.images[rows]), None if labels is None else labels[rows])

    return part(order[held : held + MOST_TRAINING]), part(order[:held])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="corruptions")
    given = parser.parse_args()
    warn_if_busy()
    results = []
    for name in given.data:
        training, reference = images_of(name, given.seed)
        for spec in SPACES:
            began = time.perf_counter()
            space = open_extractor(spec, training.images, training.labels)
            fitted = time.perf_counter() - began
            began = time.perf_counter()
            compared = Comparison(
                reference, reference, training, space, None, (), given.seed, "test"
            )
            found = sensitivity(compared, list(EXPECTED))
            tested = time.perf_counter() - began
            results.append(
                {
                    "data": name,
                    "features": spec,
                    "fit_seconds": round(fitted, 1),
                    "test_seconds": round(tested, 1),
                    "unseen": {metric: found.unseen(metric) for metric in EXPECTED},
                    **to_plain(found),
                }
            )
            print(f"{name} {spec}: fitted in {fitted:.1f} s, tested in {tested:.1f} s")
            for metric in EXPECTED:
                print(f"  {metric}: {', '.join(found.unseen(metric)) or 'sees all'}")
    print(table(results))
    write(given.out, {**conditions(), "seed": given.seed, "results": results})


def table(results: list[dict[str, Any]]) -> str:
    """Rows of data and features, columns of FD, coverage and precision: what these do not see."""
    lines = ["| data | features | FD | coverage | precision |", "|---|---|---|---|---|"]
    for one in results:
        cells = [", ".join(one["unseen"][m]) or "-" for m in ("fd", "coverage", "precision")]
        lines.append(f"| {one['data']} | {one['features']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
