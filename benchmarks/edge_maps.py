"""Do images follow their edges? Fashion-MNIST drawn from the edges and classes of test images.

The run: ``undrift train fashion_mnist --map edges --budget 12m``. The edges that are derived from
samples are compared with those that they were drawn from, and with those of another image.

    python benchmarks/edge_maps.py RUN DATA
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from record import conditions, write

import undrift
from undrift.data import load
from undrift.metrics.map_consistency import map_consistency
from undrift.pipelines.maps import maps_of

SAMPLES, STEPS = 200, 12


def main(run: str, data: str) -> None:
    torch.set_num_threads(1)
    images = load(data).split("test")
    pipeline = undrift.load(run)
    rows = np.linspace(0, len(images) - 1, SAMPLES).astype(np.int64)
    maps = maps_of(pipeline.spec, images, rows)
    names = [images.class_names[label] for label in np.asarray(images.labels)[rows]]
    result = conditions() | {"samples": SAMPLES, "steps": STEPS}
    for scale in (1.0, 2.0):
        drawn = pipeline(
            SAMPLES, labels=names, maps=maps, seed=0, guidance=scale, steps=STEPS
        ).images
        found = map_consistency(pipeline.spec.maps[0], drawn, maps["edges"])
        own = found.own
        result[f"guidance {scale:g}"] = {
            "error": round(own.value, 2),
            "low": round(own.low, 2),
            "high": round(own.high, 2),
            "other_edges": round(found.shuffled.value, 2),
        }
        print(scale, result[f"guidance {scale:g}"], flush=True)
    write("edge-maps", result)


if __name__ == "__main__":
    main(*sys.argv[1:])
