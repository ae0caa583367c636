"""Images made from images by a diffusion model that was never trained for it.

``operator``: the images are measurements ``y = A x + n`` of what is wanted, by a linear operator;
samples come from the posterior as `undrift.sampling.inverse.PosteriorDenoiser` has it.

``strength``: an image is noised to a level and sampled from there (SDEdit, Meng et al. 2022): with
strength 0 it stays, with strength 1 nothing is left of it.

``like``: an image is taken back to its noise, which is mixed with new noise and sampled from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec.affine import Affine
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.pipelines.diffusion.draw import Drawing
from undrift.pipelines.diffusion.inpaint import SAMPLER, drawing_of, within_range
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.settings import DiffusionEditing
from undrift.pipelines.masked import Variants
from undrift.pipelines.progress import OnProgress, step_progress
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.sampling import BoundDenoise, CountedDenoiser, ImageNoise
from undrift.sampling.inverse import (
    InModelSpace,
    PosteriorDenoiser,
    Quantise,
    invert,
    near,
    parse_operator,
)
from undrift.sampling.thresholding import DataRange

Bind = Callable[[BoundDenoise, range], BoundDenoise]
Start = Callable[[range, Tensor], Tensor]


def edit(
    model: DiffusionModel,
    given: Variants,
    condition: Condition,
    settings: DiffusionEditing,
    *,
    seed: int,
    batch_size: int,
    on_progress: OnProgress | None,
) -> Samples:
    """See `undrift.pipelines.Pipeline.edit`."""
    codec, spec = model.codec, model.spec
    if not isinstance(codec, Affine):
        raise UsageError(f"edit: pixels cannot be known in the space of {type(codec).__name__}")
    restoring = settings.operator is not None
    sampler = SAMPLER if restoring else spec.sampler if settings.like is None else "euler"
    drawing = drawing_of(model, settings, condition, sampler)
    of_images, condition = condition, given.by_result(condition)
    labels = None if condition.labels is None else condition.labels.numpy()
    own = {name: value for name, value in settings.own().items() if value is not None}
    record = {**drawing.settings(), **own}
    times = drawing.times()
    bind: Bind | None = None
    start: Start | None = None
    counted = CountedDenoiser(model.denoiser)
    if restoring:
        bind = _restoring(model, codec, given, settings)
    elif settings.like:
        x, missed = _inverted(drawing, counted, codec, given, of_images, times, batch_size)
        record["inversion_error"] = missed
        sigma = float(model.denoiser.schedule(times[0]).sigma)
        share = settings.like

        def start_near(rows: range, noise: Tensor) -> Tensor:
            places = torch.tensor(list(rows), dtype=torch.int64, device="cpu") // given.variants
            return near(x[places], noise.to(x), sigma, share)

        start = start_near
    else:  # strength, or like 0, which returns the images as strength 0 does
        steps = math.ceil((settings.strength or 0.0) * (len(times) - 1) - 1e-9)
        times = times[len(times) - 1 - steps :]
        start = _starting(model, given, times[0])
        if not steps:
            images = np.repeat(given.images, given.variants, axis=0)
            return Samples(images, labels, settings=record)
    request = Request(len(given), seed, 0, batch_size)
    parts: list[NDArray[np.uint8]] = []
    for k, rows in enumerate(request.batches):
        denoise = drawing.bind(counted, condition[rows.start : rows.stop], rows)
        drawn = drawing.carry(
            times,
            denoise if bind is None else bind(denoise, rows),
            ImageNoise(seed, given.numbers(rows)),
            after_step=None,
            on_progress=None
            if on_progress is None
            else step_progress(on_progress, request.batches, k, model.decoded),
            start=None if start is None else partial(start, rows),
        )
        parts.append(model.decoded(drawn.x))
    nfe = counted.images / len(given)
    return Samples(np.concatenate(parts), labels, nfe=nfe, settings=record)


def _inverted(
    drawing: Drawing,
    counted: CountedDenoiser,
    codec: Affine,
    given: Variants,
    condition: Condition,
    times: Tensor,
    batch_size: int,
) -> tuple[Tensor, float]:
    """The noise of each image (N, ...), and how far the worst is missed, in pixel values.

    Raises:
        UsageError: for images of another size or type.
    """
    model = drawing.model
    _check_size(model, given)
    parts: list[Tensor] = []
    worst = 0.0
    limits = DataRange.of_codec(codec, model.spec.image_shape[0])
    low, high = limits.like(torch.zeros(1, *model.latent_shape, dtype=torch.float32, device="cpu"))
    unit = float((high - low).mean()) / 255
    for rows in Request(len(given.images), 0, 0, batch_size).batches:
        pixels = torch.from_numpy(given.images[rows.start : rows.stop].copy()).permute(0, 3, 1, 2)
        denoise = drawing.bind(counted, condition[rows.start : rows.stop], rows)
        x0 = codec.encode(pixels.to(model.device))
        schedule = model.denoiser.schedule
        found = invert(denoise, x0, times, schedule, deviation=codec.sigma_data)
        parts.append(found.x)
        worst = max(worst, float(found.error.max()) / unit)
    return torch.cat(parts), round(worst, 4)


def _check_size(model: DiffusionModel, given: Variants) -> None:
    (channels, height, width), got = model.spec.image_shape, given.images.shape
    if got[1:] != (height, width, channels) or given.images.dtype != np.uint8:
        raise UsageError(
            f"edit: images {given.images.dtype} {got}, wanted uint8 "
            f"(n, {height}, {width}, {channels}) as the model draws"
        )


def _restoring(
    model: DiffusionModel, codec: Affine, given: Variants, settings: DiffusionEditing
) -> Bind:
    """Binds the measurements of some results to their denoiser.

    Raises:
        UsageError: for measurements of another shape than the operator makes.
    """
    image_shape = model.spec.image_shape
    operator = parse_operator(settings.operator or "")
    channels, height, width = operator.measurement_shape(image_shape)
    if given.images.shape[1:] != (height, width, channels):
        found = given.images.shape
        raise UsageError(
            f"edit: operator {settings.operator} makes images of {width}x{height} pixels and "
            f"{channels} channels of this model's; got {found[2]}x{found[1]} and {found[3]}"
        )
    like = torch.zeros(1, *model.latent_shape, dtype=torch.float32, device=model.device)
    inside = InModelSpace(operator, *codec.shift_and_scale(like))
    limits = DataRange.of_codec(codec, image_shape[0])
    own = operator.error if isinstance(operator, Quantise) else 0.0
    noise = math.hypot(settings.noise, own)

    def bind(denoise: BoundDenoise, rows: range) -> BoundDenoise:
        pixels = given.pixels(rows).to(model.device, torch.float32)
        posterior = PosteriorDenoiser(
            denoise,
            inside,
            inside.measured(pixels, image_shape),
            noise,
            settings.method,
            settings.iterations,
            codec.sigma_data,
        )
        return within_range(posterior, limits)

    return bind


def _starting(model: DiffusionModel, given: Variants, t: Tensor) -> Start:
    """The images of some results at the noise level of ``t``."""
    _check_size(model, given)
    level = model.denoiser.schedule(t)

    def start(rows: range, noise: Tensor) -> Tensor:
        x0 = model.codec.encode(given.pixels(rows).to(model.device))
        return float(level.alpha) * x0 + float(level.sigma) * noise.to(x0)

    return start
