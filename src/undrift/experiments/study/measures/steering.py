r"""How models follow: along their dials, and where half of an image is given.

A filled-in image x of a true one y has, over the pixels that were hidden,

    PSNR = 10 log10(255^2 / mean (x - y)^2) dB,                                                  (1)

the mean over images of each image's own. It rewards the mean of what could be there: two fills of
one image differ by their mean absolute difference in grey levels, which is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.experiments.curve.asked import Curve
from undrift.experiments.curve.measuring import Measuring
from undrift.experiments.evaluation.reference import open_reference
from undrift.experiments.evaluation.subject import open_subject
from undrift.experiments.study.worlds import load_study
from undrift.metrics import Images
from undrift.pipelines import GANPipeline, Samples
from undrift.randomness import generator
from undrift.runs.loading import load_pipeline

Record = dict[str, Any]

METRICS = ("fd", "precision", "recall", "density", "coverage", "label_accuracy")

SHOWN = 10
"""Images of a piece that the report shows."""

FILLS = 2
"""Fills of each image: their difference tells how much a method leaves open."""


def dial(run: Path, values: Sequence[float], n: int, seed: int, device: str) -> Record:
    """Quality and diversity of a run at each value of its dial.

    Returns:
        ``points``: ``dial`` and each metric's ``value``, ``low``, ``high``; ``name`` of the dial.
    """
    subject = open_subject(str(run))
    asked = Curve(target=str(run), n=n, metrics=METRICS, seed=seed)
    measuring = Measuring(asked, subject, open_reference(subject, None, None), METRICS, device)
    pipeline = load_pipeline(run).to(device)
    points = []
    for value in values:
        samples = _turned(pipeline, n, seed, value)
        found = measuring.measure(Images(samples.images, samples.labels))["metrics"]
        ends = {
            name: {end: entry[end] for end in ("value", "low", "high")}
            for name, entry in found.items()
        }
        points.append({"dial": value, **ends})
    name = "truncation" if isinstance(pipeline, GANPipeline) else "guidance"
    return {"points": points, "name": name, "n": n}


def _turned(pipeline: Any, n: int, seed: int, value: float) -> Samples:  # noqa: ANN401 - any Pipeline
    if isinstance(pipeline, GANPipeline):
        return pipeline(n, seed=seed, truncation=value)
    return pipeline(n, seed=seed, guidance=value)


def filling(runs: Mapping[str, Path], source: str, count: int, seed: int) -> Record:
    """Fill in the hidden lower halves of held-out images with every method, for equal time.

    Args:
        runs: name of a method -> its run; the diffusion model's is "diffusion".
        source: the data.
        count: images.
        seed: of the images and the fills.

    Returns:
        ``methods``: name -> ``psnr`` (1), ``diversity``, ``seconds`` per image and ``images``, some
        of them; ``originals`` and ``visible``, the same ones; ``count``.
    """
    originals = _held_out(source, count, seed)
    height, width = originals.shape[1:3]
    hidden = np.zeros((height, width), dtype=bool)
    hidden[height // 2 :] = True
    painter = load_pipeline(runs["diffusion"])
    painted = {"diffusion": painter.inpaint(originals, hidden, variants=FILLS, seed=seed)}
    for name, run in runs.items():
        if name != "diffusion":
            pipeline = load_pipeline(run)
            if not isinstance(pipeline, GANPipeline):
                raise TypeError(f"{name}: a {type(pipeline).__name__} is no GAN")
            painted[name] = pipeline.inpaint(
                originals,
                hidden,
                variants=FILLS,
                seed=seed,
                seconds=painted["diffusion"].seconds,
            )
    visible = originals.copy()
    visible[:, hidden] = 128
    return {
        "methods": {name: _entry(originals, hidden, samples) for name, samples in painted.items()},
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


def _entry(originals: NDArray[np.uint8], hidden: NDArray[np.bool_], samples: Samples) -> Record:
    fills = samples.images.reshape(len(originals), FILLS, *originals.shape[1:]).astype(float)
    first, second = fills[:, 0][:, hidden], fills[:, 1][:, hidden]
    errors = ((first - originals[:, hidden]) ** 2).reshape(len(originals), -1).mean(axis=1)
    return {
        "psnr": float((10 * np.log10(255**2 / np.maximum(errors, 1e-9))).mean()),  # (1)
        "diversity": float(np.abs(first - second).mean()),
        "seconds": samples.seconds / len(samples.images),
        "nfe": samples.nfe,
        "images": samples.images[::FILLS][:SHOWN].tolist(),
    }
