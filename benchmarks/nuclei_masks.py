"""Do images follow their masks? Nuclei drawn from held-out masks, and segmented again.

The run: ``undrift train nuclei --map mask --size 64 --flip --parameters 0.4M --batch-size 16
--budget 40m``. A segmenter that is trained on the real training pairs reads the masks of real test
images and of samples (`undrift.metrics.segmentation`); it and the samples are kept in the folder
WORK.

    python benchmarks/nuclei_masks.py RUN DATA WORK
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import conditions, rounded, write

import undrift
from undrift.data import ImageSet, load
from undrift.metrics.segmentation import Overlap, Segmenter, fit_segmenter, overlap
from undrift.randomness import derangement

STEPS = 500
CLASSES = 3
GUIDANCES = (1.0, 2.0)


def pairs(part: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) and the class of each of their pixels (N, H, W)."""
    (mask,) = part.maps
    return np.asarray(part.images), mask.take(part.rows)[..., 0].astype(np.int64)


def segmenter(path: Path, images: ImageSet) -> Segmenter:
    """A network that reads masks, trained once."""
    train, masks = pairs(images.split("train"))
    if path.exists():
        model = Segmenter(train.shape[3], CLASSES)
        model.load_state_dict(torch.load(path))
        return model.eval()
    model = fit_segmenter(train, masks, classes=CLASSES, steps=STEPS)
    torch.save(model.state_dict(), path)
    return model


def iou(found: Overlap) -> dict[str, Any]:
    """Mean IoU with its interval, and that of each class."""
    return rounded(found.mean, "iou") | {"classes": [round(one, 4) for one in found.classes]}


def both(model: Segmenter, images: np.ndarray, masks: np.ndarray) -> dict[str, Any]:
    """Overlap with the images' own masks, and with the mask of another image drawn at random."""
    others = masks[derangement(len(masks), 0, "shuffled maps").numpy()]
    shuffled = overlap(model, images, others).mean
    return iou(overlap(model, images, masks)) | {"other_masks": round(shuffled.value, 4)}


def measured(
    pipeline: undrift.Pipeline, model: Segmenter, masks: np.ndarray, work: Path
) -> dict[str, Any]:
    """`both` of samples, by guidance; these are kept in the folder ``work``."""
    found = {}
    for scale in GUIDANCES:
        path = work / f"samples_{scale}.npz"
        if not path.exists():
            maps = {"mask": masks.astype(np.uint8)}
            drawn = pipeline(len(masks), maps=maps, seed=0, guidance=scale).images
            np.savez(path, images=drawn)
        found[f"guidance {scale:g}"] = both(model, np.load(path)["images"], masks)
    return found


def main(run: str, data: str, work: str) -> None:
    torch.set_num_threads(1)
    images = load(data, maps=["mask"], size=64)
    folder = Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    model = segmenter(folder / "segmenter.pt", images)
    real, masks = pairs(images.split("test"))
    result = {"real": both(model, real, masks)} | measured(undrift.load(run), model, masks, folder)
    for name, one in result.items():
        print(name, one)
    write("nuclei-masks", conditions() | result)


if __name__ == "__main__":
    main(*sys.argv[1:])
