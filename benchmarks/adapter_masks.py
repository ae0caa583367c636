"""Nuclei drawn from held-out masks by adapters of a frozen model that was trained without any.

`undrift adapt --condition mask` with several batch sizes, beside a model of the same network that
was trained on masks from scratch. Samples are segmented as in `nuclei_masks.py`.
Criteria: at least 0.85 times the overlap of the model from scratch, and at strength 0 the base's
own images, bit by bit.

    python benchmarks/adapter_masks.py RUNS $UNDRIFT_DATA/nuclei --batches 16 64

RUNS/base, RUNS/scratch and RUNS/branch-<batch> are trained where they are not finished; the same
command resumes. The cost of an adapter is processor time where one process trained it, which other
work does not change, and wall clock by the run's own events.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nuclei_masks import GUIDANCES, iou, measured, pairs, segmenter
from record import conditions, trained, write

import undrift
from undrift.data import load
from undrift.metrics.segmentation import overlap
from undrift.runs.configuration import load as load_config

IMAGES = {"base": 17_600, "scratch": 29_696}
"""That base and model from scratch are trained on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("data")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--images", type=int, default=6080, help="of each adapter")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shape = {"size": 64, "flip": True, "parameters": "0.4M", "batch_size": 16}
    for name, maps in (("base", ()), ("scratch", ("mask",))):
        if not (given.runs / name / "pipeline").exists():
            undrift.train(
                given.data,
                maps=maps,
                images=IMAGES[name],
                out=given.runs / name,
                bare=True,
                threads=1,
                **shape,
            )
    images = load(given.data, maps=["mask"], size=64)
    real, masks = pairs(images.split("test"))
    model = segmenter(given.runs / "segmenter.pt", images)
    path = given.runs / "adapters.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    seen = {name: trained_on(given.runs / name) for name in ("base", "scratch")}
    result |= conditions() | {"images_trained_on": seen}
    result["real"] = iou(overlap(model, real, masks))
    drawn_by = {name: undrift.load(given.runs / name / "pipeline") for name in ("base", "scratch")}
    result["scratch"] = measured(drawn_by["scratch"], model, masks, given.runs / "scratch")
    of_base = drawn_by["base"](8, seed=0).images
    for batch in given.batches:
        design = f"branch:{batch}"
        if design in result:
            continue
        out = given.runs / f"branch-{batch}"
        train = partial(
            undrift.adapt,
            given.runs / "base",
            condition=("mask",),
            batch_size=batch,
            images=given.images,
            threads=1,
            bare=True,
            out=out,
        )
        cost = trained(out, train)
        pipeline = undrift.load(out / "pipeline")
        maps = {"mask": masks[:8].astype(np.uint8)}
        found = measured(pipeline, model, masks, out)
        found |= cost
        found["images"] = trained_on(out)
        found["parameters"] = sum(weight.numel() for weight in pipeline.weights.parameters())
        found["strength_0_is_the_base"] = bool(
            np.array_equal(pipeline(8, maps=maps, strength=0, seed=0).images, of_base)
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
