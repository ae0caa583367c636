"""Bits per dimension of one model on held-out and on training images, and of pixel histograms."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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
from undrift.results.claims import Bits, LikelihoodBits, LikelihoodRefusal, facts_of
from undrift.results.comparison import RunResult
from undrift.results.likelihood import MethodResult
from undrift.runs.configuration import load
from undrift.runs.directory import RunDirectory
from undrift.runs.images import load_own

POINTS = 32
"""Noise levels of the bound, and evaluations of the ODE's four-stage steps."""


def bits(
    run: RunResult, path: Path, n: int, seed: int, device: Literal["auto", "cpu", "cuda"]
) -> LikelihoodBits:
    """Bits of ``n`` held-out and ``n`` training images under a diffusion model."""
    data = load_own(load(RunDirectory(path).config).data, path)
    held_out: Split = "test" if len(data.split("test")) else "validation"
    splits: tuple[Split, ...] = (held_out, "train")
    first, second = (
        measure_likelihood(
            path,
            None,
            LikelihoodOptions(
                method="both",
                n=n,
                split=split,
                points=POINTS,
                trace="hutchinson",  # unbiased, where the exact trace costs a pass per dimension
                seed=seed,
                device=device,
            ),
        ).methods
        for split in splits
    )
    return LikelihoodBits(
        **facts_of(run),
        held_out={method: _bits(one) for method, one in first.items()},
        train={method: _bits(one) for method, one in second.items()},
        split=held_out,
        protocol={method: one.protocol for method, one in second.items()},
        histogram=_histogram(path, data, held_out, n, seed),
    )


def _bits(one: MethodResult) -> Bits:
    return Bits(
        value=one.bits_per_dim,
        low=one.low,
        high=one.high,
        nfe=one.nfe,
        seconds=one.seconds,
        n=one.n,
    )


def refusal(run: RunResult, path: Path) -> LikelihoodRefusal:
    """The error with which a GAN refuses a likelihood."""
    try:
        measure_likelihood(path, None, LikelihoodOptions())
    except UsageError as error:
        return LikelihoodRefusal(**facts_of(run), answer=str(error))
    raise UsageError(f"{path}: a GAN gave a likelihood; it has none")


def _histogram(path: Path, data: ImageSet, split: Split, n: int, seed: int) -> float:
    """Of the images that `measure_likelihood` scores with the same seed."""
    grid = ValueGrid.of(data.report.histogram)

    def levels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
        return grid.index(torch.from_numpy(images.reshape(len(images), -1))).numpy()

    train = data.split("train")
    scored = open_images(open_target(str(path)), None, split, n, None, seed)
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
