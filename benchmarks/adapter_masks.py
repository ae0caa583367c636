"""Nuclei drawn from held-out masks by adapters of a frozen model that was trained without any.

`undrift adapt --condition mask` with several batch sizes, beside a model of the same network that
was trained on masks from scratch. Samples are segmented as in `nuclei_masks.py`.
Wanted: at least 0.85 times the overlap of the model from scratch, and at strength 0 the base's own
images, bit by bit.

    python benchmarks/adapter_masks.py RUNS $UNDRIFT_DATA/nuclei --batches 16 64

RUNS/base, RUNS/scratch and RUNS/branch-<batch> are trained where they are not finished; the same
command resumes. Each adapter is charged by processor time, so that other work does not
matter.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nuclei_masks import GUIDANCES, measured, pairs, segmenter, told
from record import conditions, write

import undrift
from undrift.data import load
from undrift.metrics.segmentation import overlap
from undrift.runs.configuration import load as load_config

IMAGES = 29_696


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("data")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--images", type=int, default=6080, help="of each adapter")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shape = {"size": 64, "flip": True, "parameters": "0.4M", "batch_size": 16, "images": IMAGES}
    for name, maps in (("base", ()), ("scratch", ("mask",))):
        if not (given.runs / name / "pipeline").exists():
            undrift.train(
                given.data, maps=maps, out=given.runs / name, bare=True, threads=1, **shape
            )
    images = load(given.data, maps=["mask"], size=64)
    real, masks = pairs(images.split("test"))
    model = segmenter(given.runs / "segmenter.pt", images)
    path = given.runs / "adapters.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    seen = {name: trained_on(given.runs / name) for name in ("base", "scratch")}
    result |= conditions() | {"images_trained_on": seen}
    result["real"] = told(overlap(model, real, masks))
    drawn_by = {name: undrift.load(given.runs / name / "pipeline") for name in ("base", "scratch")}
    result["scratch"] = measured(drawn_by["scratch"], model, masks, given.runs / "scratch")
    wanted = drawn_by["base"](8, seed=0).images
    for batch in given.batches:
        design = f"branch:{batch}"
        if design in result:
            continue
        out = given.runs / f"branch-{batch}"
        spent = -time.process_time()
        if not (out / "pipeline").exists():
            undrift.adapt(
                given.runs / "base",
                condition=("mask",),
                batch_size=batch,
                images=given.images,
                threads=1,
                bare=True,
                out=out,
            )
        spent += time.process_time()
        pipeline = undrift.load(out / "pipeline")
        maps = {"mask": masks[:8].astype(np.uint8)}
        found = measured(pipeline, model, masks, out)
        found["processor_seconds"] = round(spent, 1)
        found["images"] = trained_on(out)
        found["parameters"] = sum(weight.numel() for weight in pipeline.weights.parameters())
        found["strength_0_is_the_base"] = bool(
            np.array_equal(pipeline(8, maps=maps, strength=0, seed=0).images, wanted)
        )
        for key in (f"guidance {scale:g}" for scale in GUIDANCES):
            share = found[key]["iou"] / result["scratch"][key]["iou"]
            found[key]["share_of_scratch"] = round(share, 3)
        result[design] = found
        path.write_text(json.dumps(result, indent=1))
        print(design, json.dumps(found), flush=True)
    write("adapter-masks", result)


def trained_on(run: Path) -> int:
    """Images that a run saw."""
    training = load_config(run / "config.yaml").training
    return training.steps * training.batch_size


if __name__ == "__main__":
    main()
