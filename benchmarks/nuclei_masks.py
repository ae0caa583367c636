"""Do images follow their masks? Nuclei drawn from held-out masks, and segmented again.

The run: ``undrift train nuclei --map mask --size 64 --flip --parameters 0.4M --batch-size 16
--budget 40m``. A segmenter that is trained on the real training pairs reads the masks of real test
images and of samples (`undrift.metrics.segmentation`).

    python benchmarks/nuclei_masks.py RUN DATA
"""

from __future__ import annotations

import sys

import numpy as np

import undrift
from undrift.data import ImageSet, load
from undrift.metrics.segmentation import Overlap, fit_segmenter, overlap

STEPS = 500
CLASSES = 3


def pairs(part: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) and the class of each of their pixels (N, H, W)."""
    (mask,) = part.maps
    return np.asarray(part.images), mask.take(part.rows)[..., 0].astype(np.int64)


def show(words: str, found: Overlap) -> None:
    mean = found.mean
    classes = ", ".join(f"{one:.3f}" for one in found.classes)
    print(f"{words}: {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f}); by class {classes}")


def main(run: str, data: str) -> None:
    images = load(data, maps=["mask"], size=64)
    model = fit_segmenter(*pairs(images.split("train")), classes=CLASSES, steps=STEPS)
    real, masks = pairs(images.split("test"))
    show("real images", overlap(model, real, masks))
    pipeline = undrift.load(run)
    others = np.roll(masks, 1, axis=0)
    for guidance in (1.0, 2.0):
        given = {"mask": masks.astype(np.uint8)}
        drawn = pipeline(len(masks), maps=given, seed=0, guidance=guidance).images
        show(f"samples, guidance {guidance:g}", overlap(model, drawn, masks))
        show("with the masks of other images", overlap(model, drawn, others))


if __name__ == "__main__":
    main(*sys.argv[1:])
