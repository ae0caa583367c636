"""What each metric says of known faults: Fashion-MNIST's test images, with known corruptions.

    python benchmarks/metric_sensitivity.py --good RUN --weak RUN

The 10,000 test images are divided into halves by a fixed seed: 5,000 are the reference, the other
5,000, damaged, stand for samples. `good` and `weak` are runs on Fashion-MNIST, of each 5,000
samples are drawn. Writes results/metric-sensitivity.json and prints the table of
docs/reference/metrics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from halves import halves
from record import conditions, write
from scipy.ndimage import gaussian_filter

from undrift.metrics import Comparison, Images, chosen_metrics, measure, open_spaces
from undrift.runs.loading import load_pipeline
from undrift.schema import to_plain

SHOWN = {
    "fd": 2,
    "fd_infinity": 2,
    "kid": 4,
    "mind": 2,
    "precision": 3,
    "recall": 3,
    "density": 3,
    "coverage": 3,
    "vendi": 2,
    "inception_score": 2,
    "modes": 4,
    "label_accuracy": 3,
    "class_fd": 2,
    "cas": 3,
    "memorization": 4,
    "c_t": 1,
    "authenticity": 3,
}
"""Metrics of the table, and their decimals."""


def main() -> None:
    """Measure every row, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--good", help="a run on Fashion-MNIST")
    parser.add_argument("--weak", help="a run on Fashion-MNIST that saw too little")
    parser.add_argument("--data", help="folder with fashion_mnist; default $UNDRIFT_DATA")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training, test = (Images(half.images, half.labels) for half in halves("fashion", options.data))
    order = np.random.default_rng(0).permutation(len(test))
    held_out, reference = test.take(np.sort(order[:5000])), test.take(np.sort(order[5000:]))
    extractor, classifier = open_spaces(training)
    features = extractor.features(reference.images)
    rows: list[dict[str, Any]] = []
    for name, samples in _rows(held_out, training, options):
        comparison = Comparison(
            samples,
            reference,
            training,
            extractor,
            classifier,
            tuple("0123456789"),
            0,
            "test",
            features,
        )
        found = to_plain(measure(comparison, chosen_metrics(["all"])).metrics)
        rows.append({"row": name, "n": len(samples), "metrics": found})
        print(_line(rows[-1]), flush=True)
    print("wrote", write("metric-sensitivity", conditions() | {"rows": rows}, options.out))


def _rows(
    real: Images, training: Images, options: argparse.Namespace
) -> Iterator[tuple[str, Images]]:
    draws = np.random.default_rng(1)
    yield "held-out real", real
    for amount in (8, 24, 64):
        noisy = real.images + draws.normal(0, amount, real.images.shape)
        yield f"noise, {amount} levels", Images(_bytes(noisy), real.labels)
    blurred = gaussian_filter(real.images.astype(np.float64), (0, 1, 1, 0))
    yield "blur, 1 pixel", Images(_bytes(blurred), real.labels)
    labels = np.zeros(0) if real.labels is None else real.labels
    yield "5 of 10 classes", real.take(np.flatnonzero(labels < 5))
    rare = np.flatnonzero(labels == 3)
    kept = np.setdiff1d(np.arange(len(real)), rare[: len(rare) // 2])
    yield "one class halved", real.take(kept)
    copied = training.draw(len(real) // 10, 0, "copies")
    fresh = real.take(np.arange(len(real) - len(copied)))
    yield (
        "10 % training images",
        Images(
            np.concatenate([fresh.images, copied.images]),
            np.concatenate([fresh.labels, copied.labels]),  # type: ignore[list-item]
        ),
    )
    for name, run in (("weak model", options.weak), ("good model", options.good)):
        if run:
            drawn = load_pipeline(run)(len(real), seed=0)
            yield name, Images(drawn.images, drawn.labels)


def _bytes(values: Any) -> Any:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _line(row: dict[str, Any]) -> str:
    cells = []
    for name, decimals in SHOWN.items():
        found = row["metrics"].get(name)
        cells.append("-" if found is None else f"{found['value']:.{decimals}f}")
    flagged = row["metrics"]["memorization"]["flagged"]
    return f"| {row['row']} | {' | '.join(cells)} | {'yes' if flagged else ''} |"


if __name__ == "__main__":
    main()
