"""The likelihood of images under a diffusion model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.arguments import converted, shown
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.likelihood import (
    LikelihoodRequest,
    OnScored,
    Scored,
    Scorer,
    ValueGrid,
    refuse_narrow,
    span_of,
)
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.whole_number import within


def score(
    model: DiffusionModel,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    request: LikelihoodRequest,
    *,
    numbers: Sequence[int] | None = None,
    given: Condition | None = None,
    batch_size: int | None = None,
    on_scored: OnScored | None = None,
) -> Scored:
    """See `undrift.pipelines.Pipeline.likelihood`."""
    images = converted("images", images, np.ndarray)
    labels = converted("labels", labels, np.ndarray | None)
    request = converted("request", request, LikelihoodRequest)
    numbers = converted("numbers", numbers, Sequence[int] | None)
    known = converted("given", given, Condition | None)
    known = Condition() if known is None else known
    batch_size = converted("batch_size", batch_size, int | None)
    converted("on_scored", on_scored, OnScored | None)
    if batch_size is not None:
        within("batch_size", batch_size, 1)
    if numbers is not None and len(numbers) != len(images):
        raise UsageError(f"{len(numbers)} numbers for {len(images)} images: give one for each")
    channels, height, width = model.spec.image_shape
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels) or not len(images):
        raise UsageError(
            f"likelihood: images {images.dtype} {images.shape}, wanted uint8 "
            f"(n, {height}, {width}, {channels}), at least one"
        )
    for name, weight in model.weights.state_dict().items():
        refuse_narrow(f"weights {name}", weight.dtype)
    classes = len(model.spec.class_names)
    if request.classes != "none" and not classes:
        raise UsageError(f"classes {request.classes!r}: this model has none; leave it out")
    weights = None
    if request.classes == "marginal":
        labels = None
        weights = model.spec.class_frequencies or (1.0,) * classes
    elif request.classes == "none":
        labels = None
    elif labels is None:
        raise UsageError("classes 'given': there are no labels; give them, or marginal or none")
    elif labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise UsageError(f"labels {shown(labels)}: wanted ({len(images)},) whole numbers")
    elif labels.min() < 0 or labels.max() >= classes:
        raise UsageError(
            f"labels from {labels.min()} to {labels.max()}: wanted numbers from 0 to {classes - 1}"
        )
    else:
        labels = labels.astype(np.int64)
    grid = ValueGrid(request.value_levels)
    span = span_of(
        model.denoiser.schedule,
        grid.spacing(model.codec, channels),
        request.log_snr_min,
        request.log_snr_max,
    )
    scorer = Scorer(
        model.bound_denoiser,
        model.denoiser.schedule,
        model.codec,
        model.codec.sigma_data,
        grid,
        span,
        request.method,
        weights,
        request.seed,
        dtype=torch.float32,
    )
    if "labels" in known:
        raise UsageError("given: labels are an argument of their own; give captions and numbers")
    if labels is not None:
        known = known.with_entry("labels", torch.from_numpy(labels))
    return scorer(
        images,
        known,
        device=model.device,
        numbers=numbers,
        batch_size=batch_size,
        on_scored=on_scored,
    )
