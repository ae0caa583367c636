"""Bits per dimension of one model on held-out and on training images, beside a model without one.

What a GAN answers is asked of it, and kept word for word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.evaluation.likelihood import measure_likelihood
from undrift.evaluation.likelihood.images import open_images
from undrift.evaluation.target import open_target
from undrift.likelihood import ValueGrid
from undrift.likelihood.histogram import histogram_bits
from undrift.options import LikelihoodOptions, Split
from undrift.runs.configuration import load
from undrift.runs.directory import RunDirectory
from undrift.runs.images import load_own

Record = dict[str, Any]

POINTS = 32
"""Noise levels of the bound, and evaluations of the ODE's four-stage steps."""


def bits(run: Path, n: int, seed: int, device: Any) -> Record:  # noqa: ANN401 - auto, cpu or cuda
    """Bits of ``n`` held-out and ``n`` training images under a run of diffusion.

    Returns:
        ``held_out`` and ``train``: method ("elbo", "ode") -> ``value``, ``low``, ``high``, ``nfe``,
        ``seconds``; ``split`` that is held out, ``protocol``, and ``histogram``: bits of the same
        held-out images under pixel histograms given the class.
    """
    found: Record = {}
    protocols = {}
    data = _data(run)
    held_out: Split = "test" if len(data.split("test")) else "validation"
    parts: tuple[tuple[str, Split], ...] = (("held_out", held_out), ("train", "train"))
    for name, split in parts:
        options = LikelihoodOptions(
            method="both",
            n=n,
            split=split,
            points=POINTS,
            trace="hutchinson",  # unbiased, where the exact trace costs a pass per dimension
            seed=seed,
            device=device,
        )
        methods = measure_likelihood(run, None, options).methods
        found[name] = {
            method: {
                "value": one.bits_per_dim,
                **{key: getattr(one, key) for key in ("low", "high", "nfe", "seconds", "n")},
            }
            for method, one in methods.items()
        }
        protocols = {method: one.protocol for method, one in methods.items()}
    return found | {
        "split": held_out,
        "protocol": protocols,
        "histogram": _histogram(run, data, held_out, n, seed),
    }


def answer_of(run: Path) -> Record:
    """What a GAN says when it is asked for a likelihood."""
    try:
        measure_likelihood(run, None, LikelihoodOptions())
    except UsageError as error:
        return {"answer": str(error)}
    raise UsageError(f"{run}: a GAN gave a likelihood; it has none")


def _data(run: Path) -> ImageSet:
    return load_own(load(RunDirectory(run).config).data, run)


def _histogram(run: Path, data: ImageSet, split: Split, n: int, seed: int) -> float:
    """Of the images that `measure_likelihood` draws by the same seed."""
    grid = ValueGrid.of(data.report.histogram)

    def levels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
        return grid.index(torch.from_numpy(images.reshape(len(images), -1))).numpy()

    train = data.split("train")
    scored = open_images(open_target(str(run)), None, split, n, None, seed)
    order = np.random.default_rng(0).permutation(len(train))
    cut = max(1, len(train) // 10)
    smoothing, counted = order[:cut], order[cut:]
    seen, labels = levels(train.images), np.asarray(train.labels)
    return histogram_bits(
        (seen[counted], labels[counted]),
        (seen[smoothing], labels[smoothing]),
        (levels(scored.images), np.asarray(scored.labels)),
        len(data.class_names),
        grid.count,
    )
