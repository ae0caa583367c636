"""How models follow: along their dials, and where half of an image is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.claims.dials import painted_at_equal_time, sweep
from undrift.claims.dials.inpainting import measured
from undrift.claims.worlds import load_study
from undrift.evaluation.opening import open_reference
from undrift.evaluation.target import open_target
from undrift.options import FeatureOptions
from undrift.randomness import generator
from undrift.runs.loading import load_pipeline

Record = dict[str, Any]

SHOWN = 10
"""Images of a piece that the report shows."""

FILLS = 4
"""Fills of each image: what they have in common is what a method holds to be there."""


def dial(run: Path, values: Sequence[float], n: int, seed: int, device: str) -> Record:
    """Quality and diversity of a run at each value of its dial.

    Returns:
        ``points``: ``dial`` and each metric's ``value``, ``low``, ``high``; ``name`` of the dial.
    """
    subject = open_target(str(run))
    bench = open_reference(subject, None, None).in_space(n, seed, FeatureOptions(), device)
    found = sweep(load_pipeline(run).to(device), values, bench, n=n, seed=seed)
    points = [
        {
            "dial": point.value,
            **{
                name: {end: getattr(entry, end) for end in ("value", "low", "high")}
                for name, entry in point.measured.metrics.items()
            },
        }
        for point in found.points
    ]
    return {"points": points, "name": found.dial, "n": n}


def filling(runs: Mapping[str, Path], source: str, count: int, seed: int) -> Record:
    """Fill in the hidden lower halves of held-out images with every method, for equal time.

    Args:
        runs: name of a method -> its run; the diffusion model's is "diffusion".
        source: the data.
        count: images.
        seed: of the images and the fills.

    Returns:
        ``methods``: name -> what `undrift.claims.dials.inpainting.measured` finds and
        ``images``, some fills; ``originals`` and ``visible``, the same ones; ``count``.
    """
    originals = _held_out(source, count, seed)
    height, width = originals.shape[1:3]
    hidden = np.zeros((height, width), dtype=bool)
    hidden[height // 2 :] = True
    gans = {name: load_pipeline(run) for name, run in runs.items() if name != "diffusion"}
    painted = painted_at_equal_time(
        load_pipeline(runs["diffusion"]), gans, originals, hidden, variants=FILLS, seed=seed
    )
    visible = originals.copy()
    visible[:, hidden] = 128
    return {
        "methods": {
            name: {
                **measured(samples, originals, hidden, FILLS).to_json(),
                "images": samples.images[::FILLS][:SHOWN].tolist(),
            }
            for name, samples in painted.items()
        },
        "originals": originals[:SHOWN].tolist(),
        "visible": visible[:SHOWN].tolist(),
        "count": len(originals),
    }


def _held_out(source: str, count: int, seed: int) -> NDArray[np.uint8]:
    data = load_study(source)
    part = data.split("test")
    part = part if len(part) else data.split("validation")
    order = torch.randperm(len(part), generator=generator(seed, "hidden halves")).numpy()
    return part.take(np.sort(order[:count]))
